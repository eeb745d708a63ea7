//! Helpers: containers of Culprit's own image in the network of another one, for where its namespace cannot be entered from here.
//!
//! A helper has no rights and writes nothing. It ends with its standard input, so also where this process is killed, and the engine removes
//! it then. One that is left all the same, as where it was never started, is removed at a later start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{AttachContainerOptions, ListContainersOptions, RemoveContainerOptions};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use tokio::io::BufReader;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_util::io::StreamReader;

use super::pipe::Pipe;
use crate::probe::{Observation, PodRef, Probe};
use crate::report::escape;
use crate::stream::deadline_of;

/// Label of every helper; its value is the run that it belongs to.
pub const LABEL: &str = "culprit.dev/helper";
/// Helpers at once.
const AT_ONCE: usize = 32;
/// Where all are taken, another one is let go so often.
const CROWDED: Duration = Duration::from_millis(200);
/// Limit for a helper to be made and started.
const START: Duration = Duration::from_secs(15);
/// How long helpers are waited for at the end.
const END: Duration = Duration::from_secs(5);
/// A helper is used for so long and then let go for a new one.
const RENEWED: Duration = Duration::from_secs(5 * 60);
/// A helper that is older belongs to nobody any more.
const ABANDONED: Duration = Duration::from_secs(10 * 60);
/// What a helper may use.
const MEMORY: i64 = 128 << 20;
const PROCESSES: i64 = 64;

/// Why a helper was not asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine has no such image. Nothing is pulled or made that nobody asked for.
    #[error("the engine has no image {image} for a helper: `{command}`, or name another with --helper-image")]
    NoImage {
        /// The image.
        image: String,
        /// What makes it known to the engine.
        command: String,
    },
    /// The engine refuses, or cannot be asked.
    #[error("a helper cannot be {step}: {source}")]
    Engine {
        /// What was tried: made, attached to, started.
        step: &'static str,
        /// Why it failed.
        source: bollard::errors::Error,
    },
    /// It did not start in time, or there are too many.
    #[error("no helper was ready in time")]
    Late,
    /// It ended before it answered, as one of another version does.
    #[error("the helper ended before it answered")]
    Ended,
}

/// The helpers of one engine.
#[derive(Clone, Debug)]
pub struct Helpers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    docker: Docker,
    image: String,
    /// The value of the label: what tells this process' helpers from another's.
    run: String,
    swept: Mutex<Option<Instant>>,
    open: Mutex<HashMap<PodRef, Arc<OnceCell<Arc<Helper>>>>>,
    places: Arc<Semaphore>,
}

/// A helper that runs.
#[derive(Debug)]
struct Helper {
    pipe: Pipe,
    begun: Instant,
}

impl Helpers {
    /// On an engine, of an image that it has: this version's is [`IMAGE`](crate::IMAGE).
    pub fn new(docker: Docker, image: String) -> Self {
        let run = format!("{:x}-{:x}", Timestamp::now().as_nanosecond(), std::process::id());
        let (swept, open, places) = (Mutex::default(), Mutex::default(), Arc::new(Semaphore::new(AT_ONCE)));
        Helpers(Arc::new(Shared { docker, image, run, swept, open, places }))
    }

    /// Sends a probe from a helper in the network of a container, or of the engine's host. The probe names no place any more.
    ///
    /// # Errors
    /// Where no helper can be had. A probe that could not be sent from there is an observation that says so.
    pub async fn ask(&self, place: &PodRef, probe: &Probe) -> Result<Observation, Error> {
        let helper = self.helper(place).await?;
        let answer = tokio::time::timeout(deadline_of(probe.timeout), helper.pipe.ask(probe)).await;
        let observation = answer.map_err(|_| Error::Late)?.ok_or(Error::Ended)?;
        Ok(Observation { vantage: format!("{place} (helper)"), ..observation })
    }

    /// Lets all helpers go, and waits a little until they have ended.
    pub async fn close(&self) {
        self.lock().clear();
        // Each gives its place back when it has ended.
        let all = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(END, self.0.places.acquire_many(all)).await;
    }

    /// Removes what nobody can own any more: helpers live half as long at most. Does so once in that time.
    async fn sweep(&self) {
        {
            let mut swept = self.0.swept.lock().unwrap_or_else(PoisonError::into_inner);
            if swept.is_some_and(|at| at.elapsed() < ABANDONED) {
                return;
            }
            *swept = Some(Instant::now());
        }
        let filters = Some(HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]));
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        // An engine that cannot be asked now says so when a helper is made.
        let all = self.0.docker.list_containers(Some(options)).await.unwrap_or_default();
        let now = Timestamp::now().as_second();
        for container in all.iter().filter(|container| is_abandoned(container, now)) {
            if let Some(id) = &container.id {
                remove(&self.0.docker, id).await;
            }
        }
    }

    /// However many ask at once, one of them starts it.
    async fn helper(&self, place: &PodRef) -> Result<Arc<Helper>, Error> {
        let cell = {
            let mut open = self.lock();
            open.retain(|_, cell| cell.get().map_or(Arc::strong_count(cell) > 1, |helper| helper.is_usable()));
            open.entry(place.clone()).or_default().clone()
        };
        let helper = cell.get_or_try_init(|| self.start(place)).await;
        helper.cloned()
    }

    async fn start(&self, place: &PodRef) -> Result<Arc<Helper>, Error> {
        let (helpers, place) = (self.clone(), place.clone());
        // On a task of its own, so that who gives up leaves nothing half made.
        let started = tokio::spawn(async move {
            helpers.sweep().await;
            let permit = helpers.permit().await?;
            run(&helpers.0.docker, configuration(&helpers.0.image, &helpers.0.run, &place), permit).await
        });
        let started = tokio::time::timeout(START, started).await.map_err(|_| Error::Late)?;
        let pipe = started.unwrap_or(Err(Error::Ended)).map_err(|error| self.named(error))?;
        Ok(Arc::new(Helper { pipe, begun: Instant::now() }))
    }

    /// Names the image where it is what is missing.
    fn named(&self, error: Error) -> Error {
        match error {
            Error::Engine { step: "made", source: bollard::errors::Error::DockerResponseServerError { status_code: 404, .. } } => {
                let image = escape::line(&self.0.image);
                let command = match self.0.image == crate::IMAGE {
                    true => format!("docker build --tag {image} {}.git", env!("CARGO_PKG_REPOSITORY")),
                    false => format!("docker pull {image}"),
                };
                Error::NoImage { image, command }
            }
            other => other,
        }
    }

    /// Leave to have one more. Where all are taken, the one that was not asked for longest is let go.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        loop {
            if let Ok(permit) = tokio::time::timeout(CROWDED, self.0.places.clone().acquire_owned()).await {
                return permit.map_err(|_| Error::Late);
            }
            let mut open = self.lock();
            let used = open.iter().filter_map(|(place, cell)| Some((cell.get()?.pipe.last_used(), place)));
            if let Some(place) = used.min().map(|(_, place)| place.clone()) {
                open.remove(&place);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PodRef, Arc<OnceCell<Arc<Helper>>>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Helper {
    fn is_usable(&self) -> bool {
        self.pipe.is_open() && self.begun.elapsed() < RENEWED
    }
}

fn is_abandoned(container: &ContainerSummary, now: i64) -> bool {
    // Of one whose age is not said nothing is known.
    container.created.is_some_and(|created| now.saturating_sub(created) > ABANDONED.as_secs().cast_signed())
}

fn configuration(image: &str, run: &str, place: &PodRef) -> ContainerCreateBody {
    let network = if *place == PodRef::docker_host() { "host".to_owned() } else { format!("container:{}", place.uid) };
    ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["probe-stdio".to_owned()]),
        labels: Some(HashMap::from([(LABEL.to_owned(), run.to_owned())])),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        // The container's input ends with whoever is attached to it.
        stdin_once: Some(true),
        host_config: Some(HostConfig {
            network_mode: Some(network),
            auto_remove: Some(true),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            memory: Some(MEMORY),
            pids_limit: Some(PROCESSES),
            // What it says is read as it says it; nothing of it is left on the engine's host.
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Makes a container, attaches to it and starts it. One that cannot be started is removed.
async fn run(docker: &Docker, configuration: ContainerCreateBody, permit: OwnedSemaphorePermit) -> Result<Pipe, Error> {
    let failed = |step| move |source| Error::Engine { step, source };
    let id = docker.create_container(None, configuration).await.map_err(failed("made"))?.id;
    let started = async {
        let options = AttachContainerOptions { stream: true, stdin: true, stdout: true, stderr: true, ..AttachContainerOptions::default() };
        let streams = docker.attach_container(&id, Some(options)).await.map_err(failed("attached to"))?;
        docker.start_container(&id, None).await.map_err(failed("started"))?;
        Ok(streams)
    };
    match started.await {
        Ok(AttachContainerResults { output, input }) => {
            let said = output.try_filter_map(async |part| Ok(said(part))).map(|part| part.map_err(std::io::Error::other));
            Ok(Pipe::over(input, BufReader::new(StreamReader::new(Box::pin(said))), permit))
        }
        Err(error) => {
            remove(docker, &id).await;
            Err(error)
        }
    }
}

/// What it says on its standard output.
fn said(part: LogOutput) -> Option<bytes::Bytes> {
    match part {
        LogOutput::StdOut { message } => Some(message),
        LogOutput::StdErr { message } => {
            tracing::warn!(message = escape::line(&String::from_utf8_lossy(&message)), "a helper complains");
            None
        }
        LogOutput::StdIn { .. } | LogOutput::Console { .. } => None,
    }
}

/// Removes a container, whatever its state. Where that fails, as where it is gone, a later sweep finds it or finds nothing.
async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    if let Err(error) = docker.remove_container(id, Some(options)).await {
        tracing::debug!(%error, id, "a helper is not removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_can_own_is_swept() {
        let helper = |created| ContainerSummary { created, ..ContainerSummary::default() };
        assert!(is_abandoned(&helper(Some(0)), 601));
        assert!(!is_abandoned(&helper(Some(0)), 600));
        assert!(!is_abandoned(&helper(Some(700)), 600));
        assert!(!is_abandoned(&helper(None), 10_000));
    }

    #[test]
    fn a_helper_joins_a_network_and_has_no_rights() {
        let place = PodRef { namespace: String::new(), name: "web".into(), uid: "18bd30".into() };
        let host = configuration(crate::IMAGE, "run", &place).host_config.expect("a configuration of the host");
        assert_eq!(host.network_mode.as_deref(), Some("container:18bd30"));
        assert_eq!((host.readonly_rootfs, host.auto_remove, host.privileged), (Some(true), Some(true), None));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        let host = configuration(crate::IMAGE, "run", &PodRef::docker_host()).host_config.expect("a configuration of the host");
        assert_eq!(host.network_mode.as_deref(), Some("host"));
    }
}
