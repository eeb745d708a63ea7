//! `culprit diagnose`: one answer, from a cluster or from manifests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use futures::StreamExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::target::{LabelFilter, parse, target_kind};
use super::{CliError, print};
use crate::api::{Diagnosis, DiagnosisSpec, Target, Verdict};
use crate::controller::writer;
use crate::diagnose::{Settings, document_name};
use crate::report;
use crate::snapshot::kubernetes::list;
use crate::snapshot::objects::{Kind, ObjectRef};
use crate::snapshot::{Snapshot, files};
use crate::vantage::local::Local;
use crate::vantage::{self, Vantage};

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
    /// Only Ingresses with these labels: key=value, key!=value, key, !key
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "target")]
    selector: Option<String>,
    /// Format of the answer
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Diagnose manifests instead of a cluster: a file, a folder, or - for standard input. Nothing is probed
    #[arg(short, long, value_name = "PATH")]
    filename: Vec<PathBuf>,
    /// Write the answer into the Diagnosis resource as well
    #[arg(long, conflicts_with = "filename")]
    write_status: bool,
    /// Diagnose again until everything is Healthy, at most this long (60s where no time is given)
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60", conflicts_with = "filename")]
    wait: Option<u64>,
    /// Routes diagnosed at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Kubeconfig file
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long)]
    context: Option<String>,
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
    let filter = arguments.selector.as_deref().map(LabelFilter::parse).transpose()?;
    if arguments.filename.is_empty() { online(&arguments, filter.as_ref()).await } else { offline(&arguments, filter.as_ref()).await }
}

async fn offline(arguments: &Arguments, filter: Option<&LabelFilter>) -> Result<ExitCode, CliError> {
    let namespace = arguments.namespace.as_deref().unwrap_or("default");
    let mut manifests = files::read(&arguments.filename, namespace)?;
    let specs = specs(std::mem::take(&mut manifests.diagnoses));
    let snapshot = manifests.into_snapshot();
    let everywhere = arguments.all_namespaces || (arguments.namespace.is_none() && arguments.target.is_empty());
    let targets = targets(&snapshot, arguments, namespace, everywhere, filter)?;
    let nowhere = Local::new("manifests", Vec::new());
    let documents = diagnose(&snapshot, &nowhere, &targets, &specs, false, arguments.concurrency).await?;
    answer(&documents, arguments.output)
}

async fn online(arguments: &Arguments, filter: Option<&LabelFilter>) -> Result<ExitCode, CliError> {
    let (client, config) = connect(arguments).await?;
    let namespace = arguments.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let url = config.cluster_url.to_string();
    let vantage = here();
    let until = arguments.wait.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        let snapshot = list::load(&client, &url, &namespace).await?;
        let written = written(&client).await;
        let specs = specs(written.clone());
        let targets = targets(&snapshot, arguments, &namespace, arguments.all_namespaces, filter)?;
        let documents = diagnose(&snapshot, &vantage, &targets, &specs, true, arguments.concurrency).await?;
        let healthy = documents.iter().all(|d| verdict(d) == Verdict::Healthy);
        if !healthy && until.is_some_and(|until| Instant::now() < until) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        if arguments.write_status {
            write(&client, &snapshot, &targets, &documents, &written).await?;
        }
        return answer(&documents, arguments.output);
    }
}

async fn connect(arguments: &Arguments) -> Result<(Client, Config), CliError> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    let failed = |e: &dyn std::error::Error| CliError::Kubeconfig(list::root(e));
    let config = match (&arguments.kubeconfig, &arguments.context) {
        (Some(file), _) => {
            let kubeconfig = Kubeconfig::read_from(file).map_err(|e| failed(&e))?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| failed(&e))?
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(|e| failed(&e))?,
        (None, None) => Config::infer().await.map_err(|e| failed(&e))?,
    };
    let client = Client::try_from(config.clone()).map_err(|e| failed(&e))?;
    Ok((client, config))
}

/// This process as a vantage, with the name servers that it stands by.
fn here() -> Local {
    let servers = std::fs::read_to_string("/etc/resolv.conf").map(|text| crate::probe::dns::servers_of(&text)).unwrap_or_default();
    let pod = std::env::var("POD_NAMESPACE").and_then(|ns| std::env::var("POD_NAME").map(|name| format!("pod {ns}/{name}")));
    Local::new(pod.unwrap_or_else(|_| "this machine".into()), servers)
}

/// The Diagnoses of the cluster; none where they cannot be read, as before the resource is installed.
async fn written(client: &Client) -> Vec<Diagnosis> {
    let all = Api::<Diagnosis>::all(client.clone()).list(&kube::api::ListParams::default()).await;
    all.map(|list| list.items).unwrap_or_default()
}

type Specs = BTreeMap<ObjectRef, DiagnosisSpec>;

/// The probe settings that were written for targets. One written by hand counts before one that Culprit made.
fn specs(diagnoses: Vec<Diagnosis>) -> Specs {
    let mut specs = Specs::new();
    for diagnosis in diagnoses {
        let kind = match diagnosis.spec.target.kind {
            crate::api::TargetKind::Ingress => Kind::Ingress,
            crate::api::TargetKind::Service => Kind::Service,
        };
        let namespace = diagnosis.metadata.namespace.clone().unwrap_or_default();
        let target = ObjectRef::new(kind, &namespace, &diagnosis.spec.target.name);
        let by_hand = diagnosis.spec.probe.is_some() || diagnosis.spec.interval.is_some();
        if by_hand || !specs.contains_key(&target) {
            specs.insert(target, diagnosis.spec);
        }
    }
    specs
}

fn targets(
    snapshot: &Snapshot,
    arguments: &Arguments,
    namespace: &str,
    everywhere: bool,
    filter: Option<&LabelFilter>,
) -> Result<Vec<ObjectRef>, CliError> {
    if let Some(target) = parse(&arguments.target, namespace)? {
        let held = snapshot.references(target.kind);
        let unread = matches!(snapshot.coverage(target.kind), crate::snapshot::Coverage::Failed(_));
        if held.contains(&target) || unread {
            return Ok(vec![target]);
        }
        return Err(CliError::NotFound { near: near(&held, &target), what: target.to_string() });
    }
    let ingresses = snapshot.ingresses().filter(|i| everywhere || i.meta.namespace == namespace);
    let chosen = ingresses.filter(|i| filter.is_none_or(|f| f.matches(&i.meta.labels)));
    let found: Vec<ObjectRef> = chosen.map(|i| ObjectRef { kind: Kind::Ingress, key: i.meta.key() }).collect();
    match snapshot.coverage(Kind::Ingress) {
        crate::snapshot::Coverage::Failed(why) => Err(CliError::Cluster(list::ListError::Forbidden { reason: why.clone() })),
        _ if found.is_empty() => {
            let place = if everywhere { "any namespace".to_owned() } else { format!("namespace {namespace}") };
            Err(CliError::Usage(format!("no Ingress to diagnose in {place}")))
        }
        _ => Ok(found),
    }
}

/// Names that are nearly the wanted one, here or the same one elsewhere.
fn near(held: &[ObjectRef], wanted: &ObjectRef) -> Vec<String> {
    let close = |r: &&ObjectRef| {
        r.key.name == wanted.key.name
            || (r.key.namespace == wanted.key.namespace && strsim::osa_distance(&r.key.name, &wanted.key.name) <= 2)
    };
    held.iter().filter(close).take(3).map(ToString::to_string).collect()
}

async fn diagnose(
    snapshot: &Snapshot,
    vantage: &dyn Vantage,
    targets: &[ObjectRef],
    specs: &Specs,
    online: bool,
    concurrency: u16,
) -> Result<Vec<Diagnosis>, CliError> {
    let progress = Arc::new(super::progress::Bar::new(targets.len()));
    let one = |target: &ObjectRef| {
        let (target, progress) = (target.clone(), progress.clone());
        async move {
            let spec = specs.get(&target).cloned().unwrap_or_default();
            let spec = DiagnosisSpec { target: Target { kind: target_kind(target.kind), name: target.key.name.to_string() }, ..spec };
            let mut settings = Settings::parse(&spec).map_err(|e| CliError::Usage(format!("{target}: {e}")))?;
            settings.online = online;
            let conclusion = vantage::examine(snapshot, vantage, target.clone(), settings).await;
            progress.step();
            Ok::<_, CliError>(report::document::of(&target, spec, conclusion.into_status(jiff::Timestamp::now(), None)))
        }
    };
    let mut running = futures::stream::iter(targets.iter().map(one)).buffered(usize::from(concurrency));
    let mut documents = Vec::new();
    while let Some(document) = running.next().await {
        documents.push(document?);
    }
    progress.finish();
    Ok(documents)
}

async fn write(
    client: &Client,
    snapshot: &Snapshot,
    targets: &[ObjectRef],
    documents: &[Diagnosis],
    written: &[Diagnosis],
) -> Result<(), CliError> {
    for (target, document) in targets.iter().zip(documents) {
        let name = document_name(target);
        let existing = written
            .iter()
            .find(|d| d.metadata.name.as_deref() == Some(&name) && d.metadata.namespace.as_deref() == Some(&target.key.namespace));
        let failed = |e: kube::Error| CliError::Write { what: format!("Diagnosis {}/{name}", target.key.namespace), why: list::root(&e) };
        let made = match existing {
            Some(existing) => existing.clone(),
            None => writer::create(client, snapshot, target).await.map_err(failed)?,
        };
        let before = made.status.clone().unwrap_or_default();
        let status = document.status.clone().unwrap_or_default();
        let status = crate::diagnose::carry_over(&before, status, jiff::Timestamp::now(), made.metadata.generation);
        if made.status.as_ref() != Some(&status) {
            writer::write_status(client, &made, &status).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Unicode where the locale has it, as POSIX orders the variables.
fn style() -> report::text::Style {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|v| std::env::var(v).ok().filter(|l| !l.is_empty())).unwrap_or_default();
    let unicode = locale.to_ascii_lowercase().replace('-', "").contains("utf8") || locale.is_empty();
    if unicode { report::text::Style::Unicode } else { report::text::Style::Ascii }
}

fn verdict(document: &Diagnosis) -> Verdict {
    document.status.as_ref().map_or(Verdict::Unknown, |s| s.verdict)
}

fn answer(documents: &[Diagnosis], output: Output) -> Result<ExitCode, CliError> {
    let text = match output {
        Output::Text => report::text::of(documents, style()),
        Output::Json => report::document::json(documents),
        Output::Yaml => report::document::yaml(documents),
    };
    print(&text)?;
    let worst = documents.iter().map(verdict).max().unwrap_or(Verdict::Unknown);
    Ok(ExitCode::from(match worst {
        Verdict::Healthy => 0,
        Verdict::Unknown => 3,
        Verdict::Degraded | Verdict::Failing => 1,
    }))
}
