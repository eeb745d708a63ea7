//! Which nodes ask which others in a round, so that the cost grows with the nodes and not with their square.

/// Up to so many nodes each asks every other one.
pub const FULL_MESH: usize = 16;
/// Chords of a node in each round, beside its neighbour on the ring.
pub const CHORDS: usize = 4;

/// The links of a round, as numbers of nodes: everyone to everyone where nodes are few; else each to the next one on a ring, and to those that
/// lie so many further as this round's chords say.
///
/// All nodes have the same chords, so that each is asked as often as it asks. Chords go on from round to round, in a mixed order, until every
/// distance was there once: after `(nodes - 2) / CHORDS` rounds, rounded up, every link was asked. The ring catches a broken node in every round.
pub fn links(nodes: usize, round: u64) -> Vec<(usize, usize)> {
    if nodes < 2 {
        return Vec::new();
    }
    let steps: Vec<usize> =
        if nodes <= FULL_MESH { (1..nodes).collect() } else { std::iter::once(1).chain(chords(nodes, round)).collect() };
    (0..nodes).flat_map(|from| steps.iter().map(move |step| (from, (from + step) % nodes))).collect()
}

/// The distances of a round, from 2 to `nodes - 1`.
fn chords(nodes: usize, round: u64) -> Vec<usize> {
    let distances = nodes - 2;
    let stride = stride(distances);
    let first = usize::try_from(round % distances as u64).unwrap_or(0) * CHORDS;
    let mut chords: Vec<usize> = (0..CHORDS.min(distances)).map(|n| 2 + (first + n) % distances * stride % distances).collect();
    chords.sort_unstable();
    chords.dedup();
    chords
}

/// A step that meets every distance once before it meets one again, and leads far: about the golden section, without a common divisor.
fn stride(distances: usize) -> usize {
    let wanted = distances * 618 / 1000;
    (wanted.max(1)..).find(|s| gcd(*s, distances) == 1).unwrap_or(1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Rounds until a node has asked every other one.
    fn rounds_until_all(nodes: usize) -> u64 {
        let mut missing: BTreeSet<usize> = (2..nodes).collect();
        for round in 0.. {
            let met: Vec<usize> = if nodes <= FULL_MESH { (1..nodes).collect() } else { chords(nodes, round) };
            missing.retain(|distance| !met.contains(distance));
            if missing.is_empty() {
                return round + 1;
            }
        }
        unreachable!("rounds do not end")
    }

    #[test]
    fn few_nodes_are_a_full_mesh() {
        assert_eq!(links(1, 0), []);
        assert_eq!(links(2, 7), [(0, 1), (1, 0)]);
        for nodes in 2..=FULL_MESH {
            assert_eq!(links(nodes, 3).into_iter().collect::<BTreeSet<_>>().len(), nodes * (nodes - 1));
        }
    }

    #[test]
    fn the_cost_grows_with_the_nodes() {
        for nodes in [17, 100, 1000, 5000] {
            for round in 0..50 {
                assert!(links(nodes, round).len() <= nodes * (1 + CHORDS), "{nodes} nodes, round {round}");
            }
        }
    }

    #[test]
    fn nobody_asks_itself_and_no_link_is_asked_twice_in_a_round() {
        for nodes in [17, 18, 19, 20, 21, 100, 257] {
            for round in 0..2 * nodes as u64 {
                let all = links(nodes, round);
                assert!(all.iter().all(|(from, to)| from != to));
                assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{nodes} nodes, round {round}");
            }
        }
    }

    /// The figures of docs/scale.md.
    #[test]
    fn a_broken_link_is_met_once_every_distance_was_there() {
        for (nodes, rounds) in [(10, 1), (100, 25), (1000, 250), (5000, 1250)] {
            assert_eq!(rounds_until_all(nodes), rounds, "{nodes} nodes");
        }
    }

    #[test]
    fn a_broken_node_is_met_in_every_round_from_both_sides() {
        for nodes in [10, 100, 1000, 5000] {
            for round in [0, 1, 77] {
                let all = links(nodes, round);
                assert!(all.iter().any(|l| l.0 == 5) && all.iter().any(|l| l.1 == 5));
            }
        }
    }

    #[test]
    fn a_split_is_met_in_every_round() {
        for nodes in [10, 100, 1000, 5000] {
            for round in [0, 1, 77] {
                let across = links(nodes, round).into_iter().filter(|(a, b)| (*a < nodes / 2) != (*b < nodes / 2));
                assert!(across.count() >= 2);
            }
        }
    }
}
