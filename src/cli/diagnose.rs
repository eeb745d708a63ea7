//! `culprit diagnose`: one answer, from a cluster or from manifests.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::cluster::{self, Cluster};
use super::containers::{self, Asked};
use super::examine::{Output, Run, answer, exit_code};
use super::progress::Bar;
use super::select::{Wanted, specs};
use super::selector::LabelFilter;
use super::target::Named;
use super::{CliError, duration, write_status};
use crate::api::Verdict;
use crate::controller::diagnoses::Document;
use crate::report::document::Shape;
use crate::report::text::Report;
use crate::snapshot::kubernetes::list;
use crate::snapshot::objects::ObjectRef;
use crate::snapshot::{Snapshot, files};
use crate::vantage::Vantage;
use crate::vantage::local::Local;

/// Namespace of manifests that name none.
const DEFAULT_NAMESPACE: &str = "default";
/// Time between two looks while waiting.
pub const AGAIN: Duration = Duration::from_secs(1);

/// Arguments of `culprit diagnose`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to diagnose: ingress/NAME or service/NAME, every Ingress where it is left out; container/NAME or compose/PROJECT on a Docker engine
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
    pub output: Output,
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
    pub timeout: Option<String>,
    /// Routes diagnosed at once
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// Docker engine: unix:///path, tcp://host:port or ssh://user@host; as the docker client finds it where it is left out
    #[arg(long, value_name = "URL", conflicts_with_all = ["filename", "namespace", "all_namespaces", "selector", "write_status"])]
    pub docker_host: Option<String>,
    /// Image of the helper that the engine runs in a container's network, where that network cannot be entered from here; never pulled
    #[arg(long, value_name = "IMAGE", default_value = crate::IMAGE, conflicts_with = "filename")]
    pub helper_image: String,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

impl Arguments {
    /// When waiting ends; none where nobody waits.
    pub fn until(&self) -> Option<Instant> {
        self.wait.map(|wait| Instant::now() + wait)
    }
}

/// Whether another look fits in.
pub fn is_time_for_another(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() + AGAIN <= until)
}

/// Runs it.
pub async fn run(arguments: Arguments) -> Result<ExitCode, CliError> {
    if let Some(asked) = Asked::parse(&arguments.target, arguments.docker_host.is_some())? {
        return containers::run(&arguments, &asked).await;
    }
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
    let run = Run {
        vantage: |_: &ObjectRef| Box::new(&nowhere) as Box<dyn Vantage>,
        specs: &specs,
        timeout: None,
        online: false,
        concurrency: arguments.concurrency,
    };
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
    let until = arguments.until();
    let look = loop {
        let look = look(arguments, &cluster, &wanted, namespace, &vantage).await?;
        let healthy = look.reports.iter().all(|r| r.verdict() == Verdict::Healthy);
        if healthy || !is_time_for_another(until) {
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
    let specs = specs(there.iter().map(|d| &d.diagnosis));
    let run = Run { vantage: |_: &ObjectRef| Box::new(vantage) as Box<dyn Vantage>, specs: &specs, timeout, online: true, concurrency };
    let reports = run.reports(&snapshot, &targets).await?;
    Ok(Look { snapshot, there, targets, reports })
}
