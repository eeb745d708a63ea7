//! In a cluster: annotations of the Ingress or the Service, and objects that these name.

use super::{Change, Remedy};
use crate::causes::{Case, upstream};
use crate::path::Implementation;
use crate::snapshot::objects::ObjectRef;

/// How the gateway is told of a change.
pub fn remedy(case: &Case<'_>, change: Change<'_>) -> Remedy {
    match change {
        Change::SpeakTls => speak_tls(case),
        Change::SpeakPlain => speak_plain(case),
        Change::SpeakHttp2 { tls } => speak_http2(case, tls),
        Change::SendName(name) => send_name(case, name),
        Change::ExpectName(name) => expect_name(case, name),
        Change::Trust => trust(case),
        Change::ShowCertificate => show_certificate(case),
        Change::TakeHeads(length) => take_heads(case, length),
        Change::PassHost(rewritten) => Remedy::new(
            "Let the gateway pass the client's Host, or send one that the application knows.",
            [format!("{} {}-", rewritten.by.kubectl("annotate"), rewritten.setting)],
        ),
        Change::WaitFor(time) if upstream::implementation(case) == Implementation::Nginx => Remedy::new(
            "Let nginx wait longer for this backend.",
            [annotate_nginx(case, "annotate --overwrite", "proxy-read-timeout", &time.as_secs().to_string())],
        ),
        Change::WaitFor(_) => Remedy::new("Raise the gateway's limit for answers of this backend.", [describe(case)]),
    }
}

fn service_name(case: &Case<'_>) -> String {
    case.path.route.service.as_ref().map(|s| s.name.to_string()).unwrap_or_default()
}

fn describe(case: &Case<'_>) -> String {
    format!("kubectl -n {} describe ingress {}", case.namespace(), case.target().key.name)
}

/// The command that sets an annotation of ingress-nginx, by its short name.
fn annotate_nginx(case: &Case<'_>, verb: &str, name: &str, value: &str) -> String {
    let (namespace, ingress) = (case.namespace(), &case.target().key.name);
    format!("kubectl -n {namespace} {verb} ingress {ingress} nginx.ingress.kubernetes.io/{name}={value}")
}

/// The command that names a ServersTransport, which is still to be made, at the Service.
fn name_transport(case: &Case<'_>) -> String {
    let (namespace, service) = (case.namespace(), service_name(case));
    format!(
        "kubectl -n {namespace} annotate service {service} \
         traefik.ingress.kubernetes.io/service.serverstransport={namespace}-NAME@kubernetescrd"
    )
}

/// The command that names a Secret for TLS to backends at the Ingress, as ingress-nginx reads it.
fn name_secret(case: &Case<'_>) -> String {
    annotate_nginx(case, "annotate", "proxy-ssl-secret", &format!("{}/SECRET", case.namespace()))
}

fn speak_tls(case: &Case<'_>) -> Remedy {
    let (namespace, service) = (case.namespace(), service_name(case));
    match upstream::implementation(case) {
        Implementation::Traefik => Remedy::new(
            "Tell Traefik to speak HTTPS to this Service (and which certificate to trust, by a ServersTransport).",
            [format!("kubectl -n {namespace} annotate service {service} traefik.ingress.kubernetes.io/service.serversscheme=https")],
        ),
        Implementation::Nginx => Remedy::new(
            "Tell ingress-nginx to speak HTTPS to this route's backend.",
            [annotate_nginx(case, "annotate", "backend-protocol", "HTTPS")],
        ),
        _ => Remedy::new(
            "Declare the port's protocol as https, if the gateway reads it, or set the gateway's own switch for HTTPS backends.",
            [format!("kubectl -n {namespace} edit service {service}")],
        ),
    }
}

fn speak_plain(case: &Case<'_>) -> Remedy {
    let command =
        |(object, field): &(ObjectRef, String)| match field.strip_prefix("metadata.annotations[").and_then(|f| f.strip_suffix(']')) {
            Some(annotation) => format!("{} {annotation}-", object.kubectl("annotate")),
            None => object.kubectl("edit"),
        };
    Remedy::new("Take away what makes the gateway speak HTTPS to these pods.", case.path.backend.scheme_from.as_ref().map(command))
}

fn speak_http2(case: &Case<'_>, tls: bool) -> Remedy {
    let (namespace, service) = (case.namespace(), service_name(case));
    let route = "Tell the gateway to speak HTTP/2 to this route's backend.";
    match (upstream::implementation(case), tls) {
        (Implementation::Traefik, false) => Remedy::new(
            "Tell the gateway to speak HTTP/2 to this Service.",
            [format!("kubectl -n {namespace} annotate service {service} traefik.ingress.kubernetes.io/service.serversscheme=h2c")],
        ),
        (Implementation::Nginx, false) => Remedy::new(route, [annotate_nginx(case, "annotate", "backend-protocol", "GRPC")]),
        (Implementation::Nginx, true) => Remedy::new(route, [annotate_nginx(case, "annotate", "backend-protocol", "GRPCS")]),
        _ => Remedy::new(
            "Declare the port's appProtocol as kubernetes.io/h2c where the gateway reads it, or set the gateway's own switch.",
            [format!("kubectl -n {namespace} edit service {service}")],
        ),
    }
}

fn send_name(case: &Case<'_>, name: &str) -> Remedy {
    let set = |key: &str, value: &str| annotate_nginx(case, "annotate --overwrite", key, value);
    match upstream::implementation(case) {
        Implementation::Nginx => Remedy::new("Let nginx send the name.", [set("proxy-ssl-server-name", "on"), set("proxy-ssl-name", name)]),
        Implementation::Traefik => {
            Remedy::new("Make a ServersTransport with this serverName, and name it at the Service.", [name_transport(case)])
        }
        _ => Remedy::new(
            "Let the gateway send the name in its TLS handshakes (HAProxy: `sni str(NAME)`; Envoy: `auto_sni`).",
            [describe(case)],
        ),
    }
}

fn expect_name(case: &Case<'_>, name: Option<&str>) -> Remedy {
    match upstream::implementation(case) {
        Implementation::Nginx => Remedy::new(
            "Tell nginx the name that the certificate carries.",
            [annotate_nginx(case, "annotate --overwrite", "proxy-ssl-name", name.unwrap_or("NAME"))],
        ),
        _ => Remedy::new(
            "Make a ServersTransport whose serverName is a name of the certificate, and name it at the Service.",
            [name_transport(case)],
        ),
    }
}

fn trust(case: &Case<'_>) -> Remedy {
    match upstream::implementation(case) {
        Implementation::Traefik => Remedy::new(
            "Make a ServersTransport with rootCAs and a serverName of the certificate, and name it at the Service.",
            [name_transport(case)],
        ),
        Implementation::Nginx => {
            Remedy::new("Put the authority's certificate as ca.crt into the Secret that proxy-ssl-secret names.", [name_secret(case)])
        }
        _ => Remedy::new("Give the gateway the authority's certificate for these backends.", [describe(case)]),
    }
}

fn show_certificate(case: &Case<'_>) -> Remedy {
    let (namespace, service) = (case.namespace(), service_name(case));
    match upstream::implementation(case) {
        Implementation::Traefik => Remedy::new(
            "Make a ServersTransport with certificatesSecrets (and rootCAs), and name it at the Service.",
            [name_transport(case)],
        ),
        Implementation::Nginx => Remedy::new(
            "Put certificate, key and authority into a Secret (tls.crt, tls.key, ca.crt), and name it at the Ingress.",
            [name_secret(case)],
        ),
        Implementation::Haproxy => Remedy::new(
            "Put certificate and key into a Secret, and name it at the Service.",
            [format!("kubectl -n {namespace} annotate service {service} haproxy.org/server-crt={namespace}/SECRET")],
        ),
        _ => Remedy::new("Give the gateway a client certificate for these backends.", [describe(case)]),
    }
}

fn take_heads(case: &Case<'_>, length: usize) -> Remedy {
    let summary = match upstream::implementation(case) {
        Implementation::Nginx => {
            let size = format!("{}k", buffer_kibibytes(length));
            let command = annotate_nginx(case, "annotate --overwrite", "proxy-buffer-size", &size);
            return Remedy::new("Send smaller headers, or give nginx a larger buffer for them.", [command]);
        }
        Implementation::Haproxy => "Send smaller headers, or raise `tune.bufsize` (`tune.http.maxhdr` for their number).",
        Implementation::Apache => "Send smaller headers, or raise `ResponseFieldSize`.",
        Implementation::Envoy => "Send smaller headers, or raise `max_response_headers_kb` (`max_headers_count` for their number).",
        _ => "Send smaller headers, or raise the gateway's limit for those of responses.",
    };
    Remedy::new(summary, [describe(case)])
}

/// The size of a buffer that a head fits into with room to spare, in KiB.
pub fn buffer_kibibytes(length: usize) -> usize {
    (length.div_ceil(1024) + 1).next_power_of_two().max(8)
}
