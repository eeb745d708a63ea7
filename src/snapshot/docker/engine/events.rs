//! What changes on an engine, as it says it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bollard::errors::Error;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

use super::{Connection, said};

/// What containers and networks do that changes what is diagnosed. Reading files and checks of health by command make events too.
const CHANGES: &[&str] = &[
    "create",
    "start",
    "restart",
    "die",
    "stop",
    "kill",
    "oom",
    "pause",
    "unpause",
    "rename",
    "update",
    "destroy",
    "health_status",
    "connect",
    "disconnect",
    "remove",
];
/// How long is waited before an engine that is gone is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What an event touches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// A container, by its id.
    Container(String),
    /// A network by its name, and the id of the container that came or went.
    Network {
        /// The network.
        name: String,
        /// The container.
        container: Option<String>,
    },
    /// Events may have been lost: the engine was gone. What it holds is to be read again.
    Everything,
}

impl Touched {
    /// The container that it names, by its id.
    pub fn container(&self) -> Option<&str> {
        match self {
            Touched::Container(id) => Some(id),
            Touched::Network { container, .. } => container.as_deref(),
            Touched::Everything => None,
        }
    }

    /// Whether a network itself came, went or changed, and not only who is in it.
    pub fn is_of_networks(&self) -> bool {
        matches!(self, Touched::Network { container: None, .. } | Touched::Everything)
    }
}

/// The events of an engine, for ever: where the connection breaks it is made again, which touches everything. Whoever reads the engine after
/// the first poll misses nothing.
pub fn watch(connection: Connection) -> impl Stream<Item = Touched> + Send {
    let following = Following { connection, events: None, last: None, waits: waits() };
    futures::stream::unfold(following, |mut following| async move {
        let touched = following.next().await;
        Some((touched, following))
    })
}

type Waits = <ExponentialBuilder as BackoffBuilder>::Backoff;

fn waits() -> Waits {
    let builder = ExponentialBuilder::default().with_min_delay(FIRST_WAIT).with_max_delay(LONGEST_WAIT);
    builder.without_max_times().with_jitter().build()
}

struct Following {
    connection: Connection,
    events: Option<BoxStream<'static, Result<EventMessage, Error>>>,
    /// Time of the last event by the engine's clock, in nanoseconds.
    last: Option<i64>,
    waits: Waits,
}

impl Following {
    async fn next(&mut self) -> Touched {
        loop {
            let event = match &mut self.events {
                Some(events) => events.next().await,
                None => {
                    self.events = Some(self.subscribe());
                    continue;
                }
            };
            match event {
                Some(Ok(event)) => {
                    self.waits = waits();
                    self.last = event.time_nano.or(self.last);
                    if let Some(touched) = touched(event) {
                        return touched;
                    }
                }
                broken => {
                    let why = broken.and_then(Result::err).map_or_else(|| "it ended".to_owned(), |error| said(&error));
                    tracing::debug!(address = %self.connection.endpoint().address, why, "the engine's events broke off");
                    self.events = None;
                    tokio::time::sleep(self.waits.next().unwrap_or(LONGEST_WAIT)).await;
                    return Touched::Everything;
                }
            }
        }
    }

    /// From the last event on, so that none is lost while the engine was only out of reach.
    fn subscribe(&self) -> BoxStream<'static, Result<EventMessage, Error>> {
        let kinds = [("type", vec!["container", "network"])].into_iter().collect();
        let options = EventsOptionsBuilder::new().filters(&kinds);
        let options = match self.last {
            Some(last) => options.since(&format!("{}.{:09}", last / 1_000_000_000, last % 1_000_000_000)),
            None => options,
        };
        self.connection.docker().events(Some(options.build())).boxed()
    }
}

fn touched(event: EventMessage) -> Option<Touched> {
    let action = event.action?;
    // `health_status: unhealthy` has its result behind it.
    let action = action.split(':').next().unwrap_or_default();
    if !CHANGES.contains(&action) {
        return None;
    }
    let actor = event.actor?;
    let mut attributes = actor.attributes.unwrap_or_default();
    match event.typ? {
        EventMessageTypeEnum::CONTAINER => Some(Touched::Container(actor.id?)),
        EventMessageTypeEnum::NETWORK => {
            let container = attributes.remove("container").filter(|id| !id.is_empty());
            Some(Touched::Network { name: attributes.remove("name").or(actor.id)?, container })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Touched> {
        touched(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn an_event_names_what_it_touches() {
        let died = r#"{"Type": "container", "Action": "die", "Actor": {"ID": "c1", "Attributes": {"name": "web", "exitCode": "1"}}}"#;
        assert_eq!(read(died), Some(Touched::Container("c1".into())));
        let sick = r#"{"Type": "container", "Action": "health_status: unhealthy", "Actor": {"ID": "c1", "Attributes": {}}}"#;
        assert_eq!(read(sick), Some(Touched::Container("c1".into())));
        let joined =
            r#"{"Type": "network", "Action": "connect", "Actor": {"ID": "n1", "Attributes": {"name": "shop", "container": "c1"}}}"#;
        assert_eq!(read(joined), Some(Touched::Network { name: "shop".into(), container: Some("c1".into()) }));
    }

    #[test]
    fn what_changes_nothing_touches_nothing() {
        for action in ["archive-path", "exec_create: /check", "exec_die", "attach", "top"] {
            let json = format!(r#"{{"Type": "container", "Action": "{action}", "Actor": {{"ID": "c1", "Attributes": {{}}}}}}"#);
            assert_eq!(read(&json), None, "{action}");
        }
        assert_eq!(read(r#"{"Type": "image", "Action": "create", "Actor": {"ID": "i", "Attributes": {}}}"#), None);
        assert_eq!(read("{}"), None);
    }
}
