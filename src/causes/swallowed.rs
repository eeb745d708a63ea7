//! Endpoints whose large answers are lost on their way, while small ones come.

use std::net::IpAddr;
use std::time::Duration;

use crate::causes::{Case, EndpointView, Missing};
use crate::probe::{Method, Observation, Outcome, PathSize, Probe, Question, Signature};

/// Twelve packets and their patience.
const LIMIT: Duration = Duration::from_secs(4);
/// Endpoints that packets are sent to at most.
const MOST: usize = 3;

/// An endpoint whose large answers are lost.
#[derive(Clone, Copy, Debug)]
pub struct Swallowed<'a> {
    /// The endpoint.
    pub view: EndpointView<'a>,
    /// Its address.
    pub to: IpAddr,
    /// A small answer that came.
    pub small: &'a Observation,
    /// The packets that were sent.
    pub sizes: &'a Observation,
    /// Bytes of the largest packet that passes.
    pub passes: u16,
    /// Bytes that both ends take for good.
    pub assumed: u16,
}

/// The first such endpoint of a path.
pub fn swallowed<'a>(case: &Case<'a>) -> Result<Option<Swallowed<'a>>, Missing> {
    let mut views = case.walked_with(&[Signature::ReadTimeout, Signature::BodyCut])?;
    views.truncate(MOST);
    if views.is_empty() {
        return Ok(None);
    }
    case.ask_all(views.iter().map(|view| small_twin(case, *view)).collect())?;
    let mut unknown = None;
    for view in views {
        match of(case, view) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(missing @ Missing::Probes(_)) => return Err(missing),
            Err(missing) => unknown = Some(missing),
        }
    }
    unknown.map_or(Ok(None), Err)
}

fn of<'a>(case: &Case<'a>, view: EndpointView<'a>) -> Result<Option<Swallowed<'a>>, Missing> {
    let small = case.ask(small_twin(case, view))?;
    if small.signature().is_some_and(|s| s != Signature::Relayed) {
        return Ok(None);
    }
    let to = view.endpoint.address;
    let sizes = case.ask(Probe { timeout: LIMIT, ..Probe::new(Question::Size { to }) })?;
    let Outcome::Measured(size @ PathSize { assumed, .. }) = sizes.outcome else { return Ok(None) };
    if size.passes.is_none() {
        return Err(Missing::Fact(format!("{to} answers no echo")));
    }
    Ok(size.swallows_above().map(|passes| Swallowed { view, to, small, sizes, passes, assumed }))
}

/// What is asked with a small answer: a HEAD in plain text, and a bare connection where a certificate would come first.
fn small_twin(case: &Case<'_>, view: EndpointView<'_>) -> Probe {
    let mut probe = view.seen.probe.clone();
    match (case.path.backend.scheme.is_tls(), probe.address()) {
        (true, Some(to)) => return case.connect_to(to),
        _ => probe.request_mut().into_iter().for_each(|request| request.method = Method::Head),
    }
    probe
}

impl Swallowed<'_> {
    /// Commands that show it from inside the gateway: a packet that is lost, and one that is not.
    pub fn ping(&self, inside: &str) -> String {
        let (lost, small) = (self.assumed.saturating_sub(28), self.passes.saturating_sub(28));
        format!("ping -M do -c 1 -s {lost} {}   # from inside the gateway's {inside}: is lost; with -s {small} it comes back", self.to)
    }
}
