//! Diagnosing several targets at once, and showing what came of it.

use std::process::ExitCode;

use clap::ValueEnum;
use futures::{StreamExt, TryStreamExt};

use super::CliError;
use super::progress::Bar;
use super::select::Specs;
use crate::api::{DiagnosisSpec, ProbeSettings, Verdict};
use crate::diagnose::{Conclusion, Settings, target_of};
use crate::report::document::{self, Shape};
use crate::report::text::{self, Report};
use crate::snapshot::Snapshot;
use crate::snapshot::objects::ObjectRef;
use crate::vantage::{self, Vantage};

/// Format of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// The Diagnosis document
    Json,
    /// The Diagnosis document
    Yaml,
}

/// How targets are examined.
pub struct Run<'a, V> {
    /// The vantage of each target.
    pub vantage: V,
    /// How targets are asked, by what was written for them.
    pub specs: &'a Specs,
    /// Limit of one request, over what was written.
    pub timeout: Option<String>,
    /// Whether anything is asked at all.
    pub online: bool,
    /// Targets examined at once.
    pub concurrency: u16,
}

impl<'v, V: Fn(&ObjectRef) -> Box<dyn Vantage + 'v>> Run<'_, V> {
    /// The reports of targets, in their order.
    pub async fn reports(&self, snapshot: &Snapshot, targets: &[ObjectRef]) -> Result<Vec<Report>, CliError> {
        let bar = Bar::asking(targets.len());
        let alone = targets.len() == 1;
        let one = |target: ObjectRef| async {
            let report = self.report(snapshot, target, alone).await;
            bar.step();
            report
        };
        let running = futures::stream::iter(targets.iter().cloned().map(one)).buffered(usize::from(self.concurrency));
        let reports = running.try_collect().await;
        bar.finish();
        reports
    }

    /// Settings that cannot be read are wrong usage for one target, and a verdict of their own among many.
    async fn report(&self, snapshot: &Snapshot, target: ObjectRef, alone: bool) -> Result<Report, CliError> {
        let spec = self.spec(&target);
        let conclusion = match Settings::parse(&spec) {
            Ok(settings) => {
                vantage::examine_settled(snapshot, &*(self.vantage)(&target), target.clone(), Settings { online: self.online, ..settings }).await
            }
            Err(error) if alone => return Err(CliError::Usage(format!("the Diagnosis of {target} cannot be used: {error}"))),
            Err(error) => Conclusion::stalled(&target, error.to_string()),
        };
        let unknown = conclusion.unknown.clone();
        let status = conclusion.into_status(jiff::Timestamp::now(), None);
        Ok(Report { document: document::of(&target, spec, status), unknown })
    }

    fn spec(&self, target: &ObjectRef) -> DiagnosisSpec {
        let spec = self.specs.get(target).cloned().unwrap_or_default();
        let mut spec = DiagnosisSpec { target: target_of(target), ..spec };
        if self.timeout.is_some() {
            spec.probe.get_or_insert_with(ProbeSettings::default).timeout.clone_from(&self.timeout);
        }
        spec
    }
}

/// Shows the reports in the format that is asked for.
pub fn answer(reports: &[Report], output: Output, shape: Shape, vantage: Option<&str>) -> Result<(), CliError> {
    let documents: Vec<_> = reports.iter().map(|r| &r.document).collect();
    let text = match output {
        Output::Text => {
            let (unicode, width) = (super::terminal::is_unicode(), super::terminal::width());
            text::of(reports, &text::Format { unicode, width, vantage: vantage.map(str::to_owned) })
        }
        Output::Json => document::json(&documents, shape),
        Output::Yaml => document::yaml(&documents, shape),
    };
    super::show(&text)
}

/// 1 where something fails, else 3 where something was not seen, else 0.
pub fn exit_code(reports: &[Report]) -> ExitCode {
    ExitCode::from(match reports.iter().map(Report::verdict).max() {
        Some(Verdict::Healthy) => 0,
        Some(Verdict::Degraded | Verdict::Failing) => 1,
        Some(Verdict::Unknown) | None => 3,
    })
}
