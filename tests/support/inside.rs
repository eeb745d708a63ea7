//! What a fixture says a pod looks like from inside.

use std::net::SocketAddr;
use std::time::Duration;

use culprit::evidence::inside::{Cpu, Descriptors, Inside, Listener, Memory, Pressure, Process, Processes, Resolver, TurnedAway, Usage};
use serde::Deserialize;

/// A pod from inside; what is not named is not known.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedInside {
    /// `ADDRESS:PORT`, then a process, a queue as `used/limit`, and `v6only`, in any order.
    #[serde(default)]
    pub listens: Vec<String>,
    /// `ListenOverflows/ListenDrops`.
    #[serde(default)]
    pub turned_away: Option<String>,
    /// Each as `used/limit`, with `max` for no limit.
    #[serde(default)]
    pub descriptors: Option<String>,
    #[serde(default)]
    pub pids: Option<String>,
    #[serde(default)]
    pub memory: Option<String>,
    #[serde(default)]
    pub conntrack: Option<String>,
    /// Processes killed for want of memory, at the first look and at later ones; with nothing else of the memory known.
    #[serde(default)]
    pub oom_kills: Vec<u64>,
    /// `throttled/periods`.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Share of the last ten seconds in which a task waited for CPU, in hundredths of a percent.
    #[serde(default)]
    pub cpu_pressure: Option<u32>,
    /// `stopped/processes`.
    #[serde(default)]
    pub stopped: Option<String>,
    /// Its resolv.conf: `servers`, `search`, `ndots`.
    #[serde(default)]
    pub resolver: Option<Resolver>,
    /// Addresses of a host.
    #[serde(default)]
    pub addresses: Vec<std::net::IpAddr>,
}

impl ScriptedInside {
    /// As a look gives it, the first one or a later one.
    pub fn inside(&self, first: bool) -> Inside {
        let oom_kills = if first { self.oom_kills.first() } else { self.oom_kills.last() }.copied();
        let memory = usage(self.memory.as_ref()).or_else(|| oom_kills.map(|_| Usage { used: 0, limit: None }));
        let process = || Process { name: "python3".into(), pid: 1 };
        Inside {
            listeners: self.listens.iter().map(|text| listener(text)).collect(),
            turned_away: pair(self.turned_away.as_ref()).map(|(overflows, drops)| TurnedAway { overflows, drops: drops.expect("drops") }),
            descriptors: usage(self.descriptors.as_ref()).map(|usage| Descriptors { process: process(), usage }),
            pids: usage(self.pids.as_ref()),
            cpu: pair(self.cpu.as_ref()).map(|(throttled, periods)| Cpu {
                periods: periods.expect("periods"),
                throttled,
                throttled_for: Duration::from_millis(50) * u32::try_from(throttled).expect("few periods"),
            }),
            memory: memory.map(|usage| Memory { usage, oom_kills }),
            pressure: self.cpu_pressure.map(|cpu| Pressure { cpu: Some(cpu), ..Pressure::default() }),
            processes: pair(self.stopped.as_ref()).map(|(stopped, count)| Processes {
                count: u32::try_from(count.expect("processes")).expect("few processes"),
                stopped: u32::try_from(stopped).expect("few processes"),
                uninterruptible: 0,
            }),
            conntrack: usage(self.conntrack.as_ref()),
            resolver: self.resolver.clone(),
            addresses: self.addresses.clone(),
        }
    }
}

fn listener(text: &str) -> Listener {
    let mut words = text.split_whitespace();
    let at: SocketAddr = words.next().expect("an address").parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut listener =
        Listener { address: at.ip(), port: at.port(), v6_only: at.is_ipv6().then_some(false), queue: 0, backlog: Some(128), process: None };
    for word in words {
        match pair(Some(&word.to_owned()).filter(|w| w.contains('/'))) {
            Some((queue, limit)) => {
                listener.queue = u32::try_from(queue).expect("a short queue");
                listener.backlog = limit.map(|l| u32::try_from(l).expect("a short queue"));
            }
            None if word == "v6only" => listener.v6_only = Some(true),
            None => listener.process = Some(Process { name: word.to_owned(), pid: 1 }),
        }
    }
    listener
}

fn usage(text: Option<&String>) -> Option<Usage> {
    pair(text).map(|(used, limit)| Usage { used, limit })
}

fn pair(text: Option<&String>) -> Option<(u64, Option<u64>)> {
    let text = text?;
    let number = |part: &str| part.parse::<u64>().unwrap_or_else(|e| panic!("{text}: {e}"));
    let (first, second) = text.split_once('/').unwrap_or_else(|| panic!("{text} is not a/b"));
    Some((number(first), (second != "max").then(|| number(second))))
}
