//! Which environment variables of a container are kept: those that say where a server listens or where a gateway sends requests, and never
//! one that may be a secret. Pure.

/// Parts of names that sound like a credential.
const SECRET: &[&str] = &["PASS", "TOKEN", "KEY", "SECRET", "CREDENTIAL", "AUTH", "PWD", "HMAC", "PRIVATE", "SALT"];
/// Parts of names that say where a server listens.
const LISTENS: &[&str] = &["PORT", "HOST", "BIND", "LISTEN", "ADDR"];
/// Parts of names that say where something else is.
const LEADS: &[&str] = &["UPSTREAM", "BACKEND", "URL", "URI", "SERVER", "SERVICE", "DOMAIN", "ENDPOINT", "TARGET", "ORIGIN", "PROXY"];
/// How the names of gateways' own settings begin.
const GATEWAYS: &[&str] = &["TRAEFIK_", "NGINX_", "HAPROXY_", "CADDY_", "ENVOY_", "APACHE_", "HTTPD_"];
/// Characters of a value that says where a server listens.
const LONGEST_ADDRESS: usize = 64;
/// Characters of a gateway's setting.
const LONGEST_SETTING: usize = 1024;

/// Whether a variable says where a server listens.
pub fn says_where_it_listens(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    value.len() <= LONGEST_ADDRESS && has_part(&name, LISTENS) && !is_secret(&name, value)
}

/// Whether a variable may tell a gateway something: its own settings, and names and addresses that a configuration refers to.
pub fn may_configure_a_gateway(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let of_gateway = GATEWAYS.iter().any(|g| name.starts_with(g));
    let wanted = of_gateway || has_part(&name, LISTENS) || has_part(&name, LEADS);
    value.len() <= LONGEST_SETTING && wanted && !is_secret(&name, value)
}

fn has_part(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.contains(part))
}

/// Whether a name in upper case sounds like a credential, or a value holds one.
fn is_secret(name: &str, value: &str) -> bool {
    has_part(name, SECRET) || has_user(value) || has_part(&value.to_ascii_uppercase(), &["PASSWORD=", "TOKEN=", "SECRET=", "KEY="])
}

/// Whether a value is an address with a user in front of it: `https://user:word@host/`, `user:word@host`.
fn has_user(value: &str) -> bool {
    let (is_url, rest) = value.split_once("://").map_or((false, value), |(_, rest)| (true, rest));
    // A password may hold a slash that ought to be escaped and is not.
    rest.split_once('@').is_some_and(|(user, _)| is_url || user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_settings_are_kept_and_credentials_are_not() {
        assert!(says_where_it_listens("PORT", "3000"));
        assert!(says_where_it_listens("bind_address", "127.0.0.1"));
        assert!(!says_where_it_listens("HOST_PASSWORD", "x"));
        assert!(!says_where_it_listens("COLOUR", "blue"));
        assert!(!says_where_it_listens("DB_HOST", "admin:hunter2@db"));
    }

    #[test]
    fn what_a_configuration_may_refer_to_is_kept_and_credentials_are_not() {
        for (name, value) in [
            ("TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", ":8080"),
            ("TRAEFIK_PROVIDERS_DOCKER", "true"),
            ("APP_UPSTREAM", "app:3000"),
            ("API_URL", "http://api:8080/v1"),
            ("app_backend", "http://app"),
        ] {
            assert!(may_configure_a_gateway(name, value), "{name}");
        }
        for (name, value) in [
            ("TRAEFIK_HTTP_MIDDLEWARES_A_BASICAUTH_USERS", "x:y"),
            ("TRAEFIK_CERTIFICATESRESOLVERS_X_ACME_EAB_HMACENCODED", "x"),
            ("DATABASE_URL", "postgres://admin:hunter2@db/shop"),
            ("CACHE_URL", "redis://:p/w@cache"),
            ("HOOK_URL", "https://hooks/?token=abc"),
            ("BACKEND_API_KEY", "abc"),
            ("COLOUR", "blue"),
        ] {
            assert!(!may_configure_a_gateway(name, value), "{name}");
        }
    }
}
