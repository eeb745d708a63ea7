//! Looks into pods, where an agent can: what a cause may ask of a pod's inside.

use std::fmt::Display;
use std::sync::Arc;

use crate::causes::{Case, EndpointView, Missing};
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
        let seen = self.ask(self.look_probe(pod))?;
        match &seen.outcome {
            Outcome::Seen(inside) => Ok(Look { inside, seen }),
            _ => Err(Missing::Fact(format!("{}: {}", seen.probe, seen.outcome_text()))),
        }
    }

    /// The same; nothing where nobody can look, so that what is seen from outside has to do.
    pub fn look_if_possible(&self, pod: &Pod) -> Result<Option<Look<'a>>, Missing> {
        match self.look(pod) {
            Err(Missing::Fact(_)) => Ok(None),
            looked => looked.map(Some),
        }
    }

    /// Looks once more, after what was asked since; nothing where nobody can look any more.
    pub fn look_again(&self, pod: &Pod) -> Result<Option<Look<'a>>, Missing> {
        self.looked_at(self.look_probe(pod).again(1))
    }

    /// Asks something anew between the look that was taken and another one: what is different in that one happened meanwhile. Nothing where nobody can look any more.
    pub fn ask_between(&self, pod: &Pod, asked: &Probe) -> Result<Option<(&'a Observation, Look<'a>)>, Missing> {
        let answer = self.ask(asked.again(BETWEEN))?;
        Ok(self.looked_at(self.look_probe(pod).again(BETWEEN))?.map(|look| (answer, look)))
    }

    fn looked_at(&self, look: Probe) -> Result<Option<Look<'a>>, Missing> {
        let seen = match self.ask(look) {
            Err(Missing::Fact(_)) => return Ok(None),
            seen => seen?,
        };
        Ok(match &seen.outcome {
            Outcome::Seen(inside) => Some(Look { inside, seen }),
            _ => None,
        })
    }

    fn look_probe(&self, pod: &Pod) -> Probe {
        Probe { timeout: self.timeout, ..Probe::new(Question::Look(PodRef::of(pod))) }
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

/// An endpoint that fails, and the inside of its pod.
#[derive(Clone, Copy, Debug)]
pub struct FailingInside<'a> {
    /// The endpoint.
    pub view: EndpointView<'a>,
    /// Its pod.
    pub pod: &'a Arc<Pod>,
    /// The look into it.
    pub look: Look<'a>,
}

/// The number of attempts that are made between two looks; nobody else's.
const BETWEEN: u8 = 3;

/// Pods that are looked into at most, where several fail.
const LOOKS: usize = 3;

impl<'a> Case<'a> {
    /// The insides of the pods of some walked endpoints that show one of these signatures. Missing where there are such endpoints and nobody
    /// can look into any of their pods.
    pub fn look_into_failing(&self, signatures: &[Signature]) -> Result<Vec<FailingInside<'a>>, Missing> {
        let views = self.walked_with(signatures)?;
        let failing: Vec<_> = views.into_iter().filter_map(|v| Some((v, v.endpoint.pod.known()?))).take(LOOKS).collect();
        if !failing.is_empty() {
            self.ask_all(failing.iter().map(|(_, pod)| self.look_probe(pod)).collect())?;
        }
        failing
            .into_iter()
            .filter_map(|(view, pod)| Some(self.look_if_possible(pod).transpose()?.map(|look| FailingInside { view, pod, look })))
            .collect()
    }
}
