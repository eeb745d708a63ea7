//! A pod as it is seen from inside: who listens, and what it runs out of.
//!
//! Every figure that a kernel, a container engine or missing rights may withhold is an option: not knowing is never "no".

pub mod addresses;
pub mod groups;
pub mod hosts;
pub mod listening;
pub mod membership;
pub mod process;
pub mod resolver;
pub mod sockets;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use hosts::Hosts;
pub use listening::Listens;
pub use resolver::Resolver;

/// A pod seen from inside, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Every listening TCP socket of the pod's network namespace, by port and address. On the host's network these are the node's.
    pub listeners: Vec<Listener>,
    /// Connections that listening sockets of the namespace turned away since it exists.
    pub turned_away: Option<TurnedAway>,
    /// Descriptors of the process that has used most of its limit.
    pub descriptors: Option<Descriptors>,
    /// Processes and threads of the control group that has used most of its limit.
    pub pids: Option<Usage>,
    /// CPU time of the control group that is throttled most.
    pub cpu: Option<Cpu>,
    /// Memory of the control group that has used most of its limit.
    pub memory: Option<Memory>,
    /// Stalled time, where the kernel counts it.
    pub pressure: Option<Pressure>,
    /// The states of the pod's processes.
    pub processes: Option<Processes>,
    /// Tracked connections of the whole node.
    pub conntrack: Option<Usage>,
    /// How the pod looks names up.
    pub resolver: Option<Resolver>,
    /// The addresses of a network that is nobody's own, as a host's, without those of loopback; none where they are not known.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// A listening TCP socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The address that it is bound to; an IPv4 address that is mapped into IPv6 is written as IPv4.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether an IPv6 socket takes IPv6 alone (IPV6_V6ONLY).
    pub v6_only: Option<bool>,
    /// Connections that wait to be accepted now.
    pub queue: u32,
    /// Most connections that may wait: the smaller of the program's backlog and `net.core.somaxconn`.
    pub backlog: Option<u32>,
    /// A process that has it open.
    pub process: Option<Process>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name, of at most 15 bytes, escaped (`/proc/PID/comm`).
    pub name: String,
    /// Its number as its own container counts.
    pub pid: u32,
}

/// `TcpExt` of `/proc/PID/net/netstat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnedAway {
    /// Connections that came while the queue of their socket was full (`ListenOverflows`).
    pub overflows: u64,
    /// Connections that were dropped for that or any other reason (`ListenDrops`).
    pub drops: u64,
}

/// How much of something is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Used now.
    pub used: u64,
    /// The most that may be used; none where there is no limit.
    pub limit: Option<u64>,
}

/// Open descriptors of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// The process.
    pub process: Process,
    /// Open descriptors, against the soft limit of `/proc/PID/limits`.
    pub usage: Usage,
}

/// `cpu.stat` of a control group; counted since it exists, in periods that are 100 ms by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Periods in which it wanted to run.
    pub periods: u64,
    /// Those of them in which it had used up its share and had to wait.
    pub throttled: u64,
    /// How long it had to wait, in all.
    pub throttled_for: Duration,
}

/// Memory of a control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes used now, and the limit.
    pub usage: Usage,
    /// Processes of the pod that were killed for want of memory, since it exists.
    pub oom_kills: Option<u64>,
}

/// Share of the last ten seconds in which some task had to wait, in hundredths of a percent (`avg10` of PSI).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// For CPU.
    pub cpu: Option<u32>,
    /// For memory.
    pub memory: Option<u32>,
    /// For input and output.
    pub io: Option<u32>,
}

/// The states of a pod's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    /// How many there are.
    pub count: u32,
    /// Those that are stopped (T: a signal, or a frozen control group).
    pub stopped: u32,
    /// Those that wait in the kernel and cannot be interrupted (D).
    pub uninterruptible: u32,
}

impl Usage {
    /// Whether nothing, or hardly anything, is left of the limit: below one part in fifty. Without a limit it never is.
    pub fn is_exhausted(&self) -> bool {
        self.limit.is_some_and(|limit| self.used >= limit - limit / 50)
    }
}

impl Listener {
    /// Whether its queue is full (the kernel takes one connection more than the limit says). Unknown where the limit is.
    pub fn is_full(&self) -> Option<bool> {
        self.backlog.map(|limit| self.queue > 0 && self.queue >= limit)
    }

    /// Who listens, as messages name it: the process, else `a process`.
    pub fn owner(&self) -> &str {
        self.process.as_ref().map_or("a process", |p| p.name.as_str())
    }
}
