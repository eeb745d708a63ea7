//! The cluster that the kubeconfig or the pod's own account names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};

use super::CliError;
use crate::api::Diagnosis;
use crate::controller::diagnoses::Document;
use crate::snapshot::kubernetes::list;
use crate::snapshot::objects::Kind;
use crate::snapshot::{Coverage, Snapshot};
use crate::vantage::local::Local;

/// Limits for connecting to the API server and for each of its answers.
const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(60);
/// Diagnoses asked for at once.
const PAGE: u32 = 500;

/// Which cluster.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub struct Arguments {
    /// Kubeconfig file
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A cluster that can be asked.
pub struct Cluster {
    /// For asking it.
    pub client: Client,
    /// Address of its API server, for messages.
    pub url: String,
    /// The namespace of the context, or of the pod.
    pub namespace: String,
}

/// Finds the cluster as kubectl does: flags, `KUBECONFIG`, the file in the home folder, the pod's account.
pub async fn connect(arguments: &Arguments) -> Result<Cluster, CliError> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match read(arguments)? {
        Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| refused(arguments, &e))?,
        None if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            Config::incluster().map_err(|e| CliError::Kubeconfig(format!("the pod's account cannot be used: {}", list::root(&e))))?
        }
        None => return Err(CliError::Kubeconfig("no cluster is configured: there is no kubeconfig, and this is no pod".into())),
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    let (url, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    let client = Client::try_from(config).map_err(|e| {
        let why = one_line(&e);
        CliError::Credentials(plugin.map_or_else(|| why.clone(), |plugin| format!("{plugin}: {why}")))
    })?;
    Ok(Cluster { client, url, namespace })
}

/// The kubeconfig; none where nobody named one and the home folder has none.
fn read(arguments: &Arguments) -> Result<Option<Kubeconfig>, CliError> {
    let failed = |e: KubeconfigError| refused(arguments, &e);
    if let Some(file) = &arguments.kubeconfig {
        return Kubeconfig::read_from(file).map(Some).map_err(failed);
    }
    if let Some(named) = Kubeconfig::from_env().map_err(failed)? {
        return Ok(Some(named));
    }
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config")).filter(|file| file.exists());
    home.map(|file| Kubeconfig::read_from(file).map_err(failed)).transpose()
}

/// A kubeconfig that cannot be used, in one line.
fn refused(arguments: &Arguments, error: &KubeconfigError) -> CliError {
    match (error, &arguments.context) {
        (KubeconfigError::LoadContext(_), Some(context)) => CliError::Usage(format!("the kubeconfig has no context {context:?}")),
        (KubeconfigError::LoadContext(context), None) => CliError::Kubeconfig(format!("the kubeconfig has no context {context:?}")),
        (KubeconfigError::CurrentContextNotSet, _) => CliError::Kubeconfig("the kubeconfig has no current context".into()),
        (KubeconfigError::ReadConfig(source, file), _) => {
            CliError::Kubeconfig(format!("the kubeconfig {} cannot be read: {source}", file.display()))
        }
        _ => CliError::Kubeconfig(format!("the kubeconfig cannot be used: {}", one_line(error))),
    }
}

/// An error and the reason at its root, in one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let (text, root) = (error.to_string(), list::root(error));
    let (first, root) = (text.lines().next().unwrap_or_default(), root.lines().next().unwrap_or_default());
    if first.contains(root) { first.to_owned() } else { format!("{first}: {root}") }
}

/// The Diagnoses of the cluster; none where they cannot be read, as before the resource is installed.
pub async fn diagnoses(cluster: &Cluster, namespace: Option<&str>) -> Vec<Document> {
    let api = match namespace {
        Some(namespace) => Api::<Diagnosis>::namespaced(cluster.client.clone(), namespace),
        None => Api::all(cluster.client.clone()),
    };
    let mut documents = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let Ok(page) = api.list(&parameters).await else { return Vec::new() };
        documents.extend(page.items.into_iter().map(Document::of));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return documents,
        }
    }
}

/// This process as a vantage, with the name servers that it stands by.
pub fn here() -> Local {
    let servers = std::fs::read_to_string("/etc/resolv.conf").map(|text| crate::probe::dns::servers_of(&text)).unwrap_or_default();
    let pod = std::env::var("POD_NAMESPACE").and_then(|ns| std::env::var("POD_NAME").map(|name| format!("pod {ns}/{name}")));
    Local::new(pod.unwrap_or_else(|_| "this machine".into()), servers)
}

/// What could not be read, in one line; none where everything could.
pub fn gaps(snapshot: &Snapshot) -> Option<String> {
    let mut unread: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in Kind::of_kubernetes() {
        let (where_, why) = match snapshot.coverage(kind) {
            Coverage::Failed(why) => (String::new(), why),
            Coverage::Only(namespace, why) => (format!(" outside namespace {namespace}"), why),
            Coverage::Complete | Coverage::NotLoaded => continue,
        };
        // The API server's sentence for what is forbidden repeats who asked, kind by kind.
        let why = if why.contains("is forbidden") { "forbidden" } else { why };
        unread.entry(format!("{where_} ({why})")).or_default().push(kind.to_string());
    }
    let parts: Vec<String> = unread.iter().map(|(why, kinds)| format!("{}{why}", kinds.join(", "))).collect();
    (!parts.is_empty()).then(|| format!("what depends on these stays unknown, since they could not be read: {}", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_named_by_its_reason() {
        let mut snapshot = Snapshot::default();
        assert_eq!(gaps(&snapshot), None);
        let forbidden = |kind: &str| format!("{kind} is forbidden: User \"me\" cannot list resource \"{kind}\"");
        snapshot.cover(Kind::Node, Coverage::Failed(forbidden("nodes")));
        snapshot.cover(Kind::IngressClass, Coverage::Failed(forbidden("ingressclasses")));
        snapshot.cover(Kind::Job, Coverage::Failed("not served by this API server".into()));
        snapshot.cover(Kind::Pod, Coverage::Only("shop".into(), forbidden("pods")));
        assert_eq!(
            gaps(&snapshot).as_deref(),
            Some(
                "what depends on these stays unknown, since they could not be read: IngressClass, Node (forbidden); \
                 Job (not served by this API server); Pod outside namespace shop (forbidden)"
            )
        );
    }
}
