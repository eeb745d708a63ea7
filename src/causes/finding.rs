//! Building findings, so that a cause's check reads as what it says.

use crate::api::{Confidence, Evidence, EvidenceKind, Finding, Fix, ObjectField, Proof};
use crate::causes::remedy::Remedy;
use crate::causes::{Case, Cause, EndpointView, Look};
use crate::probe::Observation;
use crate::snapshot::objects::ObjectRef;

/// A finding under construction; made by [`Cause::finding`].
#[derive(Clone, Debug)]
pub struct FindingBuilder(Finding);

impl Cause {
    /// Begins a finding of this cause with its sentence (which ends in a full stop).
    pub fn finding(&self, confidence: Confidence, message: impl Into<String>) -> FindingBuilder {
        FindingBuilder(Finding {
            cause: self.slug.into(),
            hop: self.hop,
            severity: self.severity,
            confidence,
            message: message.into(),
            ..Finding::default()
        })
    }
}

impl FindingBuilder {
    /// Names an object and the field of it that matters (empty for none).
    #[must_use]
    pub fn object(mut self, object: &ObjectRef, field: &str) -> Self {
        self.0.objects.push(object_field(object, field));
        self
    }

    /// Names what runs behind an endpoint, where it is known.
    #[must_use]
    pub fn behind(self, view: &EndpointView<'_>) -> Self {
        match view.behind() {
            Some(behind) => self.object(&behind.reference(), ""),
            None => self,
        }
    }

    /// The same, with the command that shows its log.
    #[must_use]
    pub fn read_log_of(self, view: &EndpointView<'_>) -> Self {
        match view.behind() {
            Some(behind) => self.behind(view).command(behind.logs()),
            None => self,
        }
    }

    /// Names what the route leads to: its Service and a field of that, or the place in a gateway container's configuration.
    #[must_use]
    pub fn backend(self, case: &Case<'_>, field: &str) -> Self {
        match (&case.path.container, case.service_ref()) {
            (Some(route), _) => self.object(&route.gateway.reference(), &case.path.route.field),
            (None, Some(service)) => self.object(&service, field),
            (None, None) => self,
        }
    }

    /// Names the route's object and a field of it, or the place in a gateway container's configuration.
    #[must_use]
    pub fn on_route(self, case: &Case<'_>, field: &str) -> Self {
        match &case.path.container {
            Some(route) => self.object(&route.gateway.reference(), &case.path.route.field),
            None => self.object(case.target(), field),
        }
    }

    /// Says how to mend it by a change of the gateway.
    #[must_use]
    pub fn remedy(self, remedy: Remedy) -> Self {
        remedy.commands.into_iter().fold(self.fix(remedy.summary), FindingBuilder::command)
    }

    /// Adds what a probe saw.
    #[must_use]
    pub fn saw(mut self, observation: &Observation) -> Self {
        self.0.evidence.push(Evidence {
            kind: EvidenceKind::Probe,
            vantage: Some(observation.vantage.clone()),
            text: observation.to_string(),
        });
        self
    }

    /// Adds what a probe from inside a pod saw, with the pod's node.
    #[must_use]
    pub fn saw_from(mut self, observation: &Observation, node: &str) -> Self {
        let vantage = format!("{} on {node}", observation.vantage);
        self.0.evidence.push(Evidence { kind: EvidenceKind::Probe, vantage: Some(vantage), text: observation.to_string() });
        self
    }

    /// Adds what a look into a pod showed, as its line of proof.
    #[must_use]
    pub fn looked(mut self, look: Look<'_>, line: impl Into<String>) -> Self {
        self.0.evidence.push(Evidence { kind: EvidenceKind::Process, vantage: Some(look.seen.vantage.clone()), text: line.into() });
        self
    }

    /// Adds what an object states.
    #[must_use]
    pub fn states(mut self, text: impl Into<String>) -> Self {
        self.0.evidence.push(Evidence { kind: EvidenceKind::Object, vantage: None, text: text.into() });
        self
    }

    /// Adds a line of a container's log.
    #[must_use]
    pub fn logged(mut self, container: &str, line: &str) -> Self {
        let text = format!("{container}: {line}");
        self.0.evidence.push(Evidence { kind: EvidenceKind::Log, vantage: None, text });
        self
    }

    /// Adds what an Event says.
    #[must_use]
    pub fn happened(mut self, text: impl Into<String>) -> Self {
        self.0.evidence.push(Evidence { kind: EvidenceKind::Event, vantage: None, text: text.into() });
        self
    }

    /// Sets the failing line next to the one that works or decides.
    #[must_use]
    pub fn proof(mut self, failing: impl Into<String>, passing: impl Into<String>) -> Self {
        self.0.proof = Some(Proof { failing: failing.into(), passing: passing.into() });
        self
    }

    /// Says how to mend it.
    #[must_use]
    pub fn fix(mut self, summary: impl Into<String>) -> Self {
        self.0.fix.get_or_insert_with(Fix::default).summary = summary.into();
        self
    }

    /// Adds a command that mends it, or shows what has to be decided.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.0.fix.get_or_insert_with(Fix::default).commands.push(command.into());
        self
    }

    /// Overrides the cause's severity.
    #[must_use]
    pub fn severity(mut self, severity: crate::api::Severity) -> Self {
        self.0.severity = severity;
        self
    }

    /// The finding.
    pub fn build(self) -> Finding {
        self.0
    }
}

impl From<FindingBuilder> for Option<Finding> {
    fn from(builder: FindingBuilder) -> Self {
        Some(builder.build())
    }
}

/// A line of proof that says where it was seen from.
pub fn line_from(observation: &Observation, node: &str) -> String {
    format!("{observation} (from {} on {node})", observation.vantage)
}

/// An object's reference as the resource prints it.
pub fn object_field(object: &ObjectRef, field: &str) -> ObjectField {
    ObjectField {
        kind: object.kind.to_string(),
        namespace: (!object.key.namespace.is_empty()).then(|| object.key.namespace.to_string()),
        name: object.key.name.to_string(),
        field: (!field.is_empty()).then(|| field.to_owned()),
    }
}
