//! Gateway software, and how it is told from names.

use std::borrow::Cow;

use super::objects::{IngressClass, Pod, Service};

/// Gateway software whose habits are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumIter)]
pub enum Implementation {
    /// Traefik
    Traefik,
    /// nginx, ingress-nginx
    #[strum(serialize = "nginx")]
    Nginx,
    /// HAProxy
    #[strum(serialize = "HAProxy")]
    Haproxy,
    /// Envoy and what is built on it (Contour, Istio, Envoy Gateway …)
    Envoy,
    /// Apache httpd
    #[strum(serialize = "Apache httpd")]
    Apache,
    /// Caddy
    Caddy,
    /// Something else, or none.
    #[default]
    #[strum(serialize = "gateway")]
    Other,
}

impl Implementation {
    /// Words that stand for it in controller names, images and labels.
    fn words(self) -> &'static [&'static str] {
        match self {
            Implementation::Traefik => &["traefik"],
            Implementation::Nginx => &["nginx"],
            Implementation::Haproxy => &["haproxy"],
            Implementation::Envoy => &["envoy", "contour", "istio", "emissary", "gloo"],
            Implementation::Apache => &["apache", "httpd"],
            Implementation::Caddy => &["caddy"],
            Implementation::Other => &[],
        }
    }

    /// The software that a controller string or image names.
    pub fn named_in(text: &str) -> Self {
        use strum::IntoEnumIterator;
        let text = lower_case(text);
        Implementation::iter().find(|i| i.words().iter().any(|w| text.contains(w))).unwrap_or_default()
    }
}

/// Names in a cluster are in lower case but for few.
fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() }
}

/// The last part of an image's path without its tag: `traefik` of `registry/library/traefik:3`.
pub fn image_name(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last)
}

/// How the software of a class' controller is told.
#[derive(Clone, Debug)]
pub struct Software {
    controller: String,
    words: Vec<String>,
}

impl Software {
    /// That of a class: by the words of known software, else by the first label of the controller's domain.
    pub fn of(class: &IngressClass) -> Self {
        let implementation = Implementation::named_in(&class.controller);
        let first = class.controller.split(['.', '/']).next().filter(|first| first.len() > 2);
        let words = match implementation {
            Implementation::Other => first.into_iter().map(str::to_ascii_lowercase).collect(),
            known => known.words().iter().map(|w| (*w).to_owned()).collect(),
        };
        Software { controller: class.controller.clone(), words }
    }

    /// Whether a name contains one of its words.
    pub fn is_named_in(&self, text: &str) -> bool {
        let text = lower_case(text);
        self.words.iter().any(|w| text.contains(w.as_str()))
    }

    /// Whether a Service's name or selector contains one of its words.
    pub fn names(&self, service: &Service) -> bool {
        self.is_named_in(&service.meta.name) || service.selector.iter().flatten().any(|(_, value)| self.is_named_in(value))
    }

    /// Whether a pod seems to run it, by its images and by arguments that name the controller.
    pub fn is_run_by(&self, pod: &Pod) -> bool {
        let named = |argument: &String| !self.controller.is_empty() && argument.contains(&self.controller);
        pod.containers.iter().any(|c| self.is_named_in(image_name(&c.image)) || c.args.iter().any(named))
    }
}
