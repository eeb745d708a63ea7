//! Connections of the gateway that the packet filter of the engine's host drops or rejects.

use super::lost::{self, Elsewhere, Lost, Way};
use crate::api::Confidence;
use crate::causes::{Case, FindingBuilder, Missing, known};
use crate::evidence::firewall::{Dropped, Firewall};
use crate::report::escape;

/// Characters of a rule that are shown.
const LONGEST: usize = 300;

/// A lost connection, and what takes its packets.
#[derive(Clone, Debug)]
pub struct Blocked<'a> {
    /// The connection.
    pub lost: Lost<'a>,
    /// The rule or policy.
    pub by: Dropped<'a>,
    /// How sure it is that these very packets meet it.
    pub confidence: Confidence,
    /// What became of the same connection from elsewhere.
    pub elsewhere: Elsewhere<'a>,
}

/// Where packets come by the filter, and which of what takes them there is meant.
pub struct Point<'p> {
    /// Table.
    pub table: &'p str,
    /// The chain that the kernel begins with.
    pub entry: &'p str,
    /// The chain that is asked: that one, or another that it jumps to.
    pub chain: &'p str,
    /// Whether a way passes here.
    pub passes: fn(&Way<'_>) -> bool,
    /// Whether it is what is looked for.
    pub is_meant: fn(&Firewall, &Dropped<'_>) -> bool,
}

/// The first connection of a route that is lost at a point of the filter. Missing where there is a lost one and the filter is not known.
pub fn blocked<'a>(case: &Case<'a>, point: &Point<'_>) -> Result<Option<Blocked<'a>>, Missing> {
    for lost in lost::lost(case)?.into_iter().filter(|l| (point.passes)(&l.way)) {
        let host = &lost.route.host;
        let is_bridged = matches!(lost.way, Way::Bridge(..));
        if is_bridged && host.filters_bridges() == Some(false) {
            continue;
        }
        let Some(firewall) = known(&host.firewall, "the packet filter of the engine's host")? else { continue };
        let Some((by, certain)) = taken(firewall, &lost, point) else { continue };
        // What only may match has at least matched something.
        if !certain && by.packets() == 0 {
            continue;
        }
        let elsewhere = lost.answered_elsewhere(case)?;
        let confidence = match elsewhere {
            Elsewhere::Answered(_) if certain && (!is_bridged || host.filters_bridges().is_some()) => Confidence::Proven,
            Elsewhere::Answered(_) => Confidence::Likely,
            // A port that refuses may be closed.
            Elsewhere::Unknown if certain && lost.is_silent() => Confidence::Likely,
            // The host's own packets to itself may meet the same rule.
            Elsewhere::Lost if certain && lost.is_silent() && matches!(lost.way, Way::Host) => Confidence::Likely,
            Elsewhere::Unknown | Elsewhere::Lost => continue,
        };
        return Ok(Some(Blocked { lost, by, confidence, elsewhere }));
    }
    Ok(None)
}

/// What takes a lost connection's first packet at a point, and whether it certainly does.
fn taken<'a>(firewall: &'a Firewall, lost: &Lost<'a>, point: &Point<'_>) -> Option<(Dropped<'a>, bool)> {
    let packet = lost.packet()?;
    let family = packet.family();
    if point.entry != point.chain && !firewall.leads(family, point.table, point.entry, point.chain) {
        return None;
    }
    let fate = firewall.fate(point.table, point.chain, &packet);
    let fits = |d: &Dropped<'_>| d.is_silent() == lost.is_silent() && (point.is_meant)(firewall, d);
    let at = fate.dropped.iter().position(fits)?;
    let certain = at == 0 && !fate.passes && !firewall.fate(point.table, point.entry, &packet).passes;
    Some((fate.dropped[at], certain))
}

impl<'a> Blocked<'a> {
    /// The rule or policy, as it is shown.
    pub fn rule(&self) -> String {
        let text: String = self.by.text().chars().take(LONGEST).collect();
        escape::line(&text)
    }

    /// It with its counter, as a line of proof.
    pub fn rule_line(&self) -> String {
        format!("{}: {} ({} packets)", self.by.chain.table, self.rule(), self.by.packets())
    }

    /// What becomes of the packets: `drops` or `rejects`.
    pub fn verb(&self) -> &'static str {
        if self.by.is_silent() { "drops" } else { "rejects" }
    }

    /// Adds what was seen, the rule and the proof to a finding.
    pub fn tell(&self, mut finding: FindingBuilder) -> FindingBuilder {
        if let Way::Bridge(_, container) = self.lost.way {
            finding = finding.object(&container.reference(), "");
        }
        finding = finding.saw(self.lost.seen).states(self.rule_line());
        match self.elsewhere.answer() {
            Some(answer) => {
                let passing = format!("{answer} (from {}); {}", answer.vantage, self.rule_line());
                finding.saw(answer).proof(self.lost.failing_line(), passing)
            }
            None => finding.proof(self.lost.failing_line(), self.rule_line()),
        }
    }

    /// The command that takes the rule away, or that sets the policy.
    pub fn removal(&self) -> String {
        let program = if self.lost.to.is_ipv4() { "iptables" } else { "ip6tables" };
        let table = if self.by.chain.table == "filter" { String::new() } else { format!(" -t {}", self.by.chain.table) };
        let rule = self.rule();
        match (self.by.rule, rule.strip_prefix("-A ")) {
            (Some(_), Some(rest)) => format!("{program}{table} -D {rest}"),
            _ => format!("{program}{table} -P {} ACCEPT", self.by.chain.name),
        }
    }
}
