# Sourced before every fault's script: how a small shop is made on a Docker engine. $P is the prefix of everything that a fault makes,
# $DIR its folder, $GATEWAY the gateway's software. `docker` talks to the engine in DOCKER_HOST.
set -euo pipefail
IMAGE=localhost/tools:1
TRAEFIK=localhost/traefik:3
RIG=$(cd "$(dirname "${BASH_SOURCE[0]}")/../cluster" && pwd)

network() { docker network create "$@" >/dev/null; }

# app [docker options]: the application behind the gateway, `app` on the network $P, port 3000. Options come after the defaults and win.
app() {
  local network=(--network "$P")
  for option in "$@"; do case $option in --network | --network=*) network=() ;; esac; done
  # A network that is another container's gives no names.
  case "$*" in *"--network container:"* | *"--network host"*) ;; *) network+=(--network-alias app) ;; esac
  container app "${network[@]}" -e PORT=3000 "$@"
}

# container NAME [docker options]: the application of the tests under another name; what follows -- replaces its command.
container() {
  local name=$1; shift
  local options=() command=(python3 /app/app.py)
  while [ $# -gt 0 ]; do if [ "$1" = -- ]; then shift; command=("$@"); break; fi; options+=("$1"); shift; done
  docker run -d --name "$P-$name" -v "$RIG/app.py:/app/app.py:ro" "${options[@]}" "$IMAGE" "${command[@]}" >/dev/null
}

# gateway UPSTREAM [docker options]: a gateway that sends everything to an upstream (host:port), as $GATEWAY is configured.
gateway() {
  local upstream=$1; shift
  configure "$upstream"
  run_gateway "$@"
}

configure() { # configure UPSTREAM: writes the gateway's configuration
  local host=${1%:*} port=${1##*:}
  mkdir -p "$DIR"
  case $GATEWAY in
  nginx) cat >"$DIR/gateway.conf" <<CONF
pid /tmp/nginx.pid;
error_log /dev/stderr;
events {}
http {
  access_log off;
  server {
    listen 8000;
    location / { proxy_pass http://$1; proxy_connect_timeout 3s; proxy_read_timeout 4s; }
  }
}
CONF
    ;;
  haproxy) cat >"$DIR/gateway.conf" <<CONF
defaults
  mode http
  timeout client 10s
  timeout connect 3s
  timeout server 4s
frontend web
  bind *:8000
  default_backend app
backend app
  server app1 $1
CONF
    ;;
  caddy) cat >"$DIR/gateway.conf" <<CONF
{
  admin off
  auto_https off
}
:8000 {
  reverse_proxy $1 {
    transport http {
      dial_timeout 3s
      response_header_timeout 4s
    }
  }
}
CONF
    ;;
  apache) cat >"$DIR/gateway.conf" <<CONF
ServerRoot /tmp
ServerName gateway
PidFile /tmp/httpd.pid
ErrorLog /dev/stderr
Listen 8000
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
<VirtualHost *:8000>
  ProxyPreserveHost On
  ProxyPass / http://$1/ retry=0 disablereuse=on connectiontimeout=3 timeout=4
</VirtualHost>
CONF
    ;;
  envoy) cat >"$DIR/gateway.conf" <<CONF
static_resources:
  listeners:
  - address: {socket_address: {address: 0.0.0.0, port_value: 8000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            virtual_hosts:
            - name: shop
              domains: ["*"]
              routes: [{match: {prefix: "/"}, route: {cluster: app, timeout: 4s}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: app
    type: STRICT_DNS
    connect_timeout: 3s
    load_assignment:
      cluster_name: app
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: $host, port_value: $port}}}}]}]
CONF
    ;;
  traefik) cat >"$DIR/gateway.conf" <<CONF
http:
  routers: {app: {rule: "PathPrefix(\`/\`)", service: app}}
  services: {app: {loadBalancer: {servers: [{url: "http://$1"}]}}}
CONF
    ;;
  esac
}

run_gateway() { # run_gateway [docker options]
  local file=gateway.conf
  case $GATEWAY in envoy) file=gateway.yaml ;; traefik) file=gateway.yml ;; esac
  local options=(--name "$P-gateway" -v "$DIR/gateway.conf:/etc/gateway/$file:ro") own=1 network
  for option in "$@"; do case $option in --network | --network=* | --net=*) own=0 ;; esac; done
  if [ $own = 1 ]; then options+=(--network "$P"); fi
  case $GATEWAY in
  nginx) docker run -d "${options[@]}" "$@" "$IMAGE" nginx -c /etc/gateway/gateway.conf -g 'daemon off;' ;;
  haproxy) docker run -d "${options[@]}" "$@" "$IMAGE" haproxy -f /etc/gateway/gateway.conf ;;
  caddy) docker run -d "${options[@]}" "$@" "$IMAGE" caddy run --adapter caddyfile --config /etc/gateway/gateway.conf ;;
  apache) docker run -d "${options[@]}" "$@" "$IMAGE" apache2 -f /etc/gateway/gateway.conf -DFOREGROUND ;;
  envoy) docker run -d "${options[@]}" "$@" "$IMAGE" envoy -c /etc/gateway/gateway.yaml --disable-hot-restart --concurrency 1 --log-level warn ;;
  traefik) docker run -d "${options[@]}" "$@" "$TRAEFIK" /traefik --entrypoints.web.address=:8000 --providers.file.filename=/etc/gateway/gateway.yml ;;
  esac >/dev/null
}

# Traefik that reads containers' labels; its provider reads the engine's socket.
traefik_by_labels() {
  docker run -d --name "$P-gateway" --network "$P" -v "${DOCKER_HOST#unix://}:/var/run/docker.sock" "$@" "$TRAEFIK" \
    /traefik --entrypoints.web.address=:8000 --providers.docker --providers.docker.exposedbydefault=false \
    "--providers.docker.constraints=Label(\`shop\`,\`$P\`)" >/dev/null
}

# Writes the gateway's configuration anew and starts it again.
reconfigure() { configure "$1"; docker restart -t 0 "$P-gateway" >/dev/null; }

# Ends containers at once.
gone() { for name in "$@"; do docker rm -f "$P-$name" >/dev/null 2>&1 || true; done; }

# undo COMMAND: is run once the fault is cleaned away.
undo() { mkdir -p "$DIR"; echo "$1" >>"$DIR/undo"; }

# office: a network 10.79.0.0/16 beyond the engine's host, with the application at 10.79.4.9, port 3000.
office() {
  ip netns add "$P-office"
  undo "ip netns pids $P-office | xargs -r kill; ip netns del $P-office"
  ip -n "$P-office" link add eth0 type veth peer name office0 netns "$(basename "$ENGINE_NETWORK")"
  ip -n "$P-office" addr add 10.79.4.9/16 dev eth0; ip -n "$P-office" link set eth0 up
  on_host ip addr add 10.79.0.1/16 dev office0; on_host ip link set office0 up
  ip -n "$P-office" route add default via 10.79.0.1
  PORT=3000 nsenter --net="/run/netns/$P-office" python3 "$RIG/app.py" >/dev/null 2>&1 &
}

# Everything that a fault made.
clean() {
  if [ -f "$DIR/undo" ]; then bash "$DIR/undo" >/dev/null 2>&1 || true; fi
  docker ps -aq --filter "name=^/$P-" | xargs -r docker rm -f >/dev/null 2>&1 || true
  docker network ls -q --filter "name=^$P" | xargs -r docker network rm >/dev/null 2>&1 || true
  rm -rf "$DIR"
}

# on_host COMMAND…: runs a command in the engine's own network.
on_host() { nsenter --net="$ENGINE_NETWORK" "$@"; }

# rule …: changes the packet filter of the engine's host.
rule() { on_host iptables "$@"; }

# Starts the engine again, as an administrator does whose firewall has thrown Docker's rules away.
restart_engine() { "$RIG/docker-up" --again; }
