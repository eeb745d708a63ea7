//! Who has to change where a port refuses.

use super::{Grade, Refusal, Source, containers, declared, is_auxiliary};
use crate::api::Confidence;
use crate::evidence::inside::Listens;

/// Who has to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The Service.
    Service(Confidence),
    /// The application's port.
    Application(Confidence),
    /// Nothing answers: it listens on loopback, on a port that was not found, or not at all.
    Unclear,
    /// The application's address: the pod's table has the port open on loopback or another single address.
    Address,
    /// The application's IP family: the pod's table has the port open for the other one.
    Family,
    /// Nobody yet: by the pod's table nobody listens on a port for users.
    NotListening,
    /// Nobody in the pod: by its table the port is open, so that something before it refuses, or it was opened just now.
    Open,
}

impl Refusal<'_> {
    /// Who has to change: by the pod's listen table, else by what answers and what the spec says.
    pub fn fault(&self) -> Fault {
        let Some(table) = &self.table else { return self.fault_from_outside() };
        let serves_elsewhere = self.elsewhere.as_ref().is_some_and(|e| e.grade == Grade::Serves && e.source != Source::Auxiliary);
        match table.at {
            Listens::Everywhere(_) | Listens::ThatAddress(_) => Fault::Open,
            // What nobody agreed on is something beside the application.
            _ if table.is_bound_elsewhere() && !self.agreed && serves_elsewhere => Fault::Service(Confidence::Proven),
            Listens::OtherFamilyOnly(_) => Fault::Family,
            Listens::LoopbackOnly(_) | Listens::AnotherAddress(_) => Fault::Address,
            Listens::Nobody => self.fault_where_nobody_listens(),
        }
    }

    fn fault_where_nobody_listens(&self) -> Fault {
        use Confidence::{Likely, Proven};
        let open = self.table.map(|t| t.users_ports(self.pod)).unwrap_or_default();
        let Some(found) = self.elsewhere.as_ref().filter(|e| e.source != Source::Auxiliary) else {
            return match (open.is_empty(), self.agreed) {
                (true, _) => Fault::NotListening,
                (false, true) => Fault::Application(Likely),
                (false, false) => Fault::Service(Likely),
            };
        };
        let only = open == [found.port];
        let sure = |holds: bool| if holds && (only || found.grade == Grade::Serves) { Proven } else { Likely };
        match self.fault_from_outside() {
            Fault::Service(_) => Fault::Service(sure(!(self.agreed && found.source == Source::Declared))),
            _ if !self.agreed => Fault::Service(sure(true)),
            // In a pod of several containers another one may own the port that is open.
            _ => Fault::Application(sure(containers(self.pod).count() == 1)),
        }
    }

    /// By what answers and what the spec says.
    fn fault_from_outside(&self) -> Fault {
        use Confidence::{Likely, Proven};
        let alone = containers(self.pod).count() == 1;
        let Some(found) = &self.elsewhere else {
            let declares_another = declared(self.pod).any(|(_, name)| !name.is_some_and(is_auxiliary));
            return if !self.agreed && declares_another && self.ready { Fault::Service(Likely) } else { Fault::Unclear };
        };
        let serves = found.grade == Grade::Serves;
        let sure = |proven: bool| if proven { Proven } else { Likely };
        match (self.agreed, found.source) {
            (false, Source::Auxiliary) if !serves => Fault::Unclear,
            (false, source) => Fault::Service(sure(serves && source != Source::Auxiliary)),
            // An application that is told to listen on loopback does; what answers elsewhere is something beside it.
            (true, _) if self.hints.loopback_at(self.port).is_some() => Fault::Unclear,
            (true, Source::Told) if self.told_elsewhere().is_some() => Fault::Application(sure(serves && alone)),
            (true, Source::Told) if serves => Fault::Application(Likely),
            // It may be something beside the application, such as its metrics.
            (true, Source::Common) if found.grade >= Grade::Answers => Fault::Application(Likely),
            (true, Source::Declared) if serves => Fault::Service(Likely),
            (true, Source::Probe) if serves => Fault::Application(Likely),
            (true, _) => Fault::Unclear,
        }
    }
}
