//! `culprit diagnose`: one answer, from a cluster or from manifests.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use futures::{StreamExt, TryStreamExt};

use super::cluster::{self, Cluster};
use super::progress::Bar;
use super::select::{Specs, Wanted, specs};
use super::selector::LabelFilter;
use super::target::Named;
use super::{CliError, duration, write_status};
use crate::api::{DiagnosisSpec, ProbeSettings, Verdict};
use crate::controller::diagnoses::Document;
use crate::diagnose::{Conclusion, Settings, target_of};
use crate::report::document::{self, Shape};
use crate::report::text::{self, Report};
use crate::snapshot::kubernetes::list;
use crate::snapshot::objects::ObjectRef;
use crate::snapshot::{Snapshot, files};
use crate::vantage::local::Local;
use crate::vantage::{self, Vantage};

/// Namespace of manifests that name none.
const DEFAULT_NAMESPACE: &str = "default";
/// Time between two looks while waiting.
const AGAIN: Duration = Duration::from_secs(1);

/// Arguments of `culprit diagnose`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to diagnose: ingress/NAME or service/NAME; every Ingress where it is left out
    #[arg(value_name = "TARGET", num_args = 0..=2)]
    target: Vec<String>,
    /// Namespace of the target
    #[arg(short, long)]
    namespace: Option<String>,
    /// Diagnose the Ingresses of all namespaces
    #[arg(short = 'A', long, visible_alias = "all", conflicts_with_all = ["namespace", "target"])]
    all_namespaces: bool,
    /// Only Ingresses with these labels: key=value, key!=value, key, !key, key in (a,b)
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "target")]
    selector: Option<String>,
    /// Format of the answer
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Diagnose manifests instead of a cluster: a file, a folder, or - for standard input. Nothing is asked
    #[arg(short, long, value_name = "PATH")]
    filename: Vec<PathBuf>,
    /// Write the answer into the Diagnosis resource as well
    #[arg(long, conflicts_with = "filename")]
    write_status: bool,
    /// Diagnose again until everything is Healthy, at most this long (60s where no time is given)
    #[arg(
        long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "60s",
        value_parser = duration::parse, conflicts_with = "filename"
    )]
    wait: Option<Duration>,
    /// Limit of one request to a route, such as 500ms or 5s
    #[arg(long, value_name = "DURATION", value_parser = duration::request_limit, conflicts_with = "filename")]
    timeout: Option<String>,
    /// Routes diagnosed at once
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

/// Format of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// The Diagnosis document
    Json,
    /// The Diagnosis document
    Yaml,
}

/// Runs it.
pub async fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    let labels = arguments.selector.as_deref().map(LabelFilter::parse).transpose()?;
    let named = Named::parse(&arguments.target)?;
    if arguments.filename.is_empty() {
        online(&arguments, named.as_ref(), labels.as_ref()).await
    } else {
        offline(&arguments, named.as_ref(), labels.as_ref()).await
    }
}

async fn offline(arguments: &Arguments, named: Option<&Named>, labels: Option<&LabelFilter>) -> Result<ExitCode, CliError> {
    let default = arguments.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let manifests = files::read(&arguments.filename, default)?;
    let specs = specs(&manifests.diagnoses);
    let snapshot = manifests.into_snapshot();
    let target = named.map(|named| match &arguments.namespace {
        Some(namespace) => named.within(namespace),
        None => named.only_one_in(&snapshot).unwrap_or_else(|| named.within(DEFAULT_NAMESPACE)),
    });
    let wanted = Wanted { target, namespace: arguments.namespace.as_deref(), labels };
    let targets = wanted.of(&snapshot)?;
    let nowhere = Local::new("manifests", Vec::new());
    let run = Run { vantage: &nowhere, specs, timeout: None, online: false, concurrency: arguments.concurrency };
    let reports = run.reports(&snapshot, &targets).await?;
    let shape = if arguments.all_namespaces || labels.is_some() { Shape::List } else { Shape::AsMany };
    answer(&reports, arguments.output, shape, None)?;
    Ok(exit_code(&reports))
}

async fn online(arguments: &Arguments, named: Option<&Named>, labels: Option<&LabelFilter>) -> Result<ExitCode, CliError> {
    let cluster = cluster::connect(&arguments.cluster).await?;
    let namespace = arguments.namespace.as_deref().unwrap_or(&cluster.namespace);
    let scope = (!arguments.all_namespaces).then_some(namespace);
    let wanted = Wanted { target: named.map(|named| named.within(namespace)), namespace: scope, labels };
    let vantage = cluster::here();
    let until = arguments.wait.map(|wait| Instant::now() + wait);
    let look = loop {
        let look = look(arguments, &cluster, &wanted, namespace, &vantage).await?;
        let healthy = look.reports.iter().all(|r| r.verdict() == Verdict::Healthy);
        if healthy || until.is_none_or(|until| Instant::now() + AGAIN > until) {
            break look;
        }
        tokio::time::sleep(AGAIN).await;
    };
    if let Some(gaps) = cluster::gaps(&look.snapshot) {
        super::warn(&gaps);
    }
    let shape = if named.is_some() { Shape::AsMany } else { Shape::List };
    answer(&look.reports, arguments.output, shape, Some(vantage.name()))?;
    if arguments.write_status {
        let documents: Vec<_> = look.targets.into_iter().zip(look.reports.iter().map(|r| &r.document)).collect();
        write_status::write(&cluster.client, &look.snapshot, &documents, &look.there).await?;
    }
    Ok(exit_code(&look.reports))
}

/// One look at the cluster.
struct Look {
    snapshot: Snapshot,
    there: Vec<Document>,
    targets: Vec<ObjectRef>,
    reports: Vec<Report>,
}

async fn look(arguments: &Arguments, cluster: &Cluster, wanted: &Wanted<'_>, namespace: &str, vantage: &Local) -> Result<Look, CliError> {
    let reading = Bar::reading();
    let (snapshot, there) =
        futures::join!(list::load(&cluster.client, &cluster.url, namespace), cluster::diagnoses(cluster, wanted.namespace));
    reading.finish();
    let snapshot = snapshot?;
    let targets = wanted.of(&snapshot)?;
    let (timeout, concurrency) = (arguments.timeout.clone(), arguments.concurrency);
    let run = Run { vantage, specs: specs(there.iter().map(|d| &d.diagnosis)), timeout, online: true, concurrency };
    let reports = run.reports(&snapshot, &targets).await?;
    Ok(Look { snapshot, there, targets, reports })
}

/// How targets are examined.
struct Run<'a> {
    vantage: &'a dyn Vantage,
    specs: Specs,
    timeout: Option<String>,
    online: bool,
    concurrency: u16,
}

impl Run<'_> {
    async fn reports(&self, snapshot: &Snapshot, targets: &[ObjectRef]) -> Result<Vec<Report>, CliError> {
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
                vantage::examine_settled(snapshot, self.vantage, target.clone(), Settings { online: self.online, ..settings }).await
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

fn answer(reports: &[Report], output: Output, shape: Shape, vantage: Option<&str>) -> Result<(), CliError> {
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
fn exit_code(reports: &[Report]) -> ExitCode {
    ExitCode::from(match reports.iter().map(Report::verdict).max() {
        Some(Verdict::Healthy) => 0,
        Some(Verdict::Degraded | Verdict::Failing) => 1,
        Some(Verdict::Unknown) | None => 3,
    })
}
