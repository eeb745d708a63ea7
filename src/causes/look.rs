//! Looks into pods and containers, where somebody can: what a cause may ask of their inside.

use std::fmt::Display;
use std::time::Duration;

use crate::causes::{Behind, Case, EndpointView, Missing};
use crate::evidence::inside::Inside;
use crate::probe::{Observation, Outcome, PodRef, Probe, Question, Signature};
use crate::snapshot::objects::Pod;

/// A pod as it was seen from inside.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What was seen.
    pub inside: &'a Inside,
    /// The observation that has it.
    pub seen: &'a Observation,
}

impl<'a> Case<'a> {
    /// Looks into a pod. What was seen from outside comes first: this is asked where it decides, and never of what works.
    pub fn look(&self, pod: &Pod) -> Result<Look<'a>, Missing> {
        self.look_into(&PodRef::of(pod))
    }

    /// The same; nothing where nobody can look, so that what is seen from outside has to do.
    pub fn look_if_possible(&self, pod: &Pod) -> Result<Option<Look<'a>>, Missing> {
        possible(self.look(pod))
    }

    /// Looks once more, after what was asked since; nothing where nobody can look any more.
    pub fn look_again(&self, behind: Behind<'_>) -> Result<Option<Look<'a>>, Missing> {
        possible(self.looked(look_probe(&behind.inside(), self.timeout).again(1)))
    }

    /// Looks into what is behind an endpoint; nothing where nobody can look.
    pub fn look_behind(&self, behind: Behind<'_>) -> Result<Option<Look<'a>>, Missing> {
        possible(self.look_into(&behind.inside()))
    }

    /// Asks something anew between the look that was taken and another one: what is different in that one happened meanwhile. Nothing where
    /// nobody can look any more.
    pub fn ask_between(&self, behind: Behind<'_>, asked: &Probe) -> Result<Option<(&'a Observation, Look<'a>)>, Missing> {
        let answer = self.ask(asked.again(BETWEEN))?;
        let look = possible(self.looked(look_probe(&behind.inside(), self.timeout).again(BETWEEN)))?;
        Ok(look.map(|look| (answer, look)))
    }

    /// Looks into the network that a Docker engine itself lives in; nothing where nobody can look.
    pub fn look_docker_host_if_possible(&self) -> Result<Option<Look<'a>>, Missing> {
        possible(self.look_into(&PodRef::docker_host()))
    }

    /// Looks into what a reference names.
    pub fn look_into(&self, inside: &PodRef) -> Result<Look<'a>, Missing> {
        self.looked(look_probe(inside, self.timeout))
    }

    fn looked(&self, probe: Probe) -> Result<Look<'a>, Missing> {
        let seen = self.ask(probe)?;
        match &seen.outcome {
            Outcome::Seen(inside) => Ok(Look { inside, seen }),
            _ => Err(Missing::Fact(format!("{}: {}", seen.probe, seen.outcome_text()))),
        }
    }
}

fn look_probe(inside: &PodRef, timeout: Duration) -> Probe {
    Probe { timeout, ..Probe::new(Question::Look(inside.clone())) }
}

/// A look, or nothing where nobody can look.
fn possible(looked: Result<Look<'_>, Missing>) -> Result<Option<Look<'_>>, Missing> {
    match looked {
        Err(Missing::Fact(_)) => Ok(None),
        looked => looked.map(Some),
    }
}

impl Look<'_> {
    /// What was seen, as a line of proof: `inside pod shop/web-1: 127.0.0.1:8080 is listened on by python3`.
    pub fn line(&self, text: impl Display) -> String {
        match &self.seen.probe.question {
            Question::Look(pod) => format!("inside {pod}: {text}"),
            _ => text.to_string(),
        }
    }
}

/// An endpoint that fails, and the inside of its pod or container.
#[derive(Clone, Copy, Debug)]
pub struct FailingInside<'a> {
    /// The endpoint.
    pub view: EndpointView<'a>,
    /// What is behind it.
    pub behind: Behind<'a>,
    /// The look into it.
    pub look: Look<'a>,
}

/// The number of attempts that are made between two looks; nobody else's.
const BETWEEN: u8 = 3;

/// Pods or containers that are looked into at most, where several fail.
const LOOKS: usize = 3;

impl<'a> Case<'a> {
    /// The insides of what is behind some walked endpoints that show one of these signatures. Missing where there are such endpoints and
    /// nobody can look into any of them.
    pub fn look_into_failing(&self, signatures: &[Signature]) -> Result<Vec<FailingInside<'a>>, Missing> {
        let views = self.walked_with(signatures)?;
        let failing: Vec<_> = views.into_iter().filter_map(|v| Some((v, v.behind()?))).take(LOOKS).collect();
        if !failing.is_empty() {
            self.ask_all(failing.iter().map(|(_, behind)| look_probe(&behind.inside(), self.timeout)).collect())?;
        }
        failing
            .into_iter()
            .filter_map(|(view, behind)| Some(self.look_behind(behind).transpose()?.map(|look| FailingInside { view, behind, look })))
            .collect()
    }
}
