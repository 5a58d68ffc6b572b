//! Bars: what this library promises for a row, and whether it keeps it. Pure.
//!
//! A ratio is taken within each round, as rounds are what a slow minute of the machine hits as a whole;
//! the median of the rounds' ratios is held against the bar. The peer that it is against is the
//! one with the best median, the same for all rounds: the best of each round would be a peer
//! that there is not.

use serde::{Deserialize, Serialize};

use crate::peers::Peer;
use crate::runner::median;
use crate::table::number;

/// What this library promises for a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    /// This share of the best peer in the row.
    BestPeer(f64),
    /// This share of the best of these.
    BestOf(f64, &'static [Peer]),
    /// At most this much.
    Absolute(f64),
}

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// The smaller one: times, memory.
    Less,
    /// The larger one: requests per second.
    More,
}

/// One peer's figure, one sample for each round. Who has failed has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contender<'a> {
    pub(crate) peer: Peer,
    pub(crate) samples: &'a [f64],
}

/// A bar, and what was held against it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// As in `<= 0.50`, `<= 0.25 of tokio, go` or `<= 50.0 ns`.
    pub(crate) bar: String,
    /// The peer that the ratio is against.
    pub(crate) against: Option<Peer>,
    /// The median over the rounds of the ratio, or of our figure where the bar is a figure.
    pub(crate) value: Option<f64>,
    /// Whether the bar was met; absent if there is nothing to hold against it.
    pub(crate) hit: Option<bool>,
    /// Rounds that by themselves would have met it.
    pub(crate) rounds_hit: usize,
    /// Rounds that could be held against it.
    pub(crate) rounds: usize,
}

impl Better {
    /// The best of `contenders` by their medians. Nothing is a share of nothing, or of less than nothing, as a
    /// difference of times may be: the best one then is none to compare with.
    pub(crate) fn best<'a>(
        self,
        contenders: impl Iterator<Item = Contender<'a>>,
    ) -> Option<Contender<'a>> {
        let measured = contenders.filter(|one| !one.samples.is_empty());
        let sign = self.sign();
        measured.min_by(|a, b| {
            let [a, b] = [a, b].map(|one| sign * median(one.samples));
            a.total_cmp(&b)
        })
    }

    /// Whether `other` is better than `one`.
    pub(crate) fn is_ahead(self, other: f64, one: f64) -> bool {
        self.sign() * other < self.sign() * one
    }

    fn sign(self) -> f64 {
        match self {
            Better::Less => 1.0,
            Better::More => -1.0,
        }
    }

    fn keeps(self, value: f64, limit: f64) -> bool {
        !self.is_ahead(limit, value)
    }

    fn symbol(self) -> &'static str {
        match self {
            Better::Less => "<=",
            Better::More => ">=",
        }
    }
}

/// Our sample divided by theirs, for each round in which theirs is more than nothing.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    let rounds = ours.iter().zip(theirs);
    rounds
        .filter(|&(_, &theirs)| theirs > 0.0)
        .map(|(ours, theirs)| ours / theirs)
        .collect()
}

/// The median of [`ratios`], if the peer's own median is more than nothing.
pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    if theirs.is_empty() || median(theirs) <= 0.0 {
        return None;
    }
    let ratios = ratios(ours, theirs);
    (!ratios.is_empty()).then(|| median(&ratios))
}

impl Bar {
    /// Holds the figures of a row against this bar. `unit` is that of a figure.
    pub(crate) fn hold(self, better: Better, unit: &str, cells: &[Contender<'_>]) -> Verdict {
        let ours = cells.iter().find(|cell| cell.peer == Peer::Ours);
        let samples = ours.map_or(&[][..], |cell| cell.samples);
        let (values, against, limit) = match self {
            Bar::Absolute(limit) => (samples.to_vec(), None, limit),
            Bar::BestPeer(limit) | Bar::BestOf(limit, _) => {
                let others = cells.iter().copied().filter(|cell| self.is_over(cell.peer));
                let best = better.best(others);
                let usable = best.filter(|best| median(best.samples) > 0.0);
                let values = usable.map_or(Vec::new(), |best| ratios(samples, best.samples));
                (values, best.map(|best| best.peer), limit)
            }
        };
        let value = (!values.is_empty()).then(|| median(&values));
        // Our own failure misses every bar.
        let failed = ours.is_some_and(|cell| cell.samples.is_empty());
        let hit = if failed {
            Some(false)
        } else {
            value.map(|value| better.keeps(value, limit))
        };
        Verdict {
            bar: self.words(better, unit),
            against,
            value,
            hit,
            rounds_hit: values
                .iter()
                .filter(|&&value| better.keeps(value, limit))
                .count(),
            rounds: values.len(),
        }
    }

    /// Whether `peer` is one of those that the bar is over.
    fn is_over(self, peer: Peer) -> bool {
        match self {
            Bar::BestOf(_, peers) => peers.contains(&peer),
            _ => peer.competes(),
        }
    }

    fn words(self, better: Better, unit: &str) -> String {
        let symbol = better.symbol();
        match self {
            Bar::BestPeer(limit) => format!("{symbol} {limit:.2}"),
            Bar::BestOf(limit, peers) => {
                let names: Vec<_> = peers.iter().map(|peer| peer.name()).collect();
                format!("{symbol} {limit:.2} of {}", names.join(", "))
            }
            Bar::Absolute(limit) => format!("{symbol} {} {unit}", number(limit)),
        }
    }
}

impl Verdict {
    /// The bar, and the ratio that was held against it where that is not the row's own: the one to `best`.
    pub(crate) fn bar_beside(&self, best: Option<Peer>) -> String {
        match (self.against, self.value) {
            (Some(against), Some(value)) if Some(against) != best => {
                format!("{}: {value:.2}", self.bar)
            }
            _ => self.bar.clone(),
        }
    }

    /// `hit`, `MISS`, or nothing; and in how many rounds it was met, if the rounds do not agree.
    pub(crate) fn word(&self) -> String {
        let word = match self.hit {
            Some(true) => "hit",
            Some(false) => "MISS",
            None => return String::new(),
        };
        let agree = self.rounds_hit == 0 || self.rounds_hit == self.rounds;
        if agree {
            word.to_string()
        } else {
            format!("{word} ({} of {})", self.rounds_hit, self.rounds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [f64; 3] = [10.0, 30.0, 20.0];

    fn cells<'a>(figures: &'a [(Peer, &'a [f64])]) -> Vec<Contender<'a>> {
        let contender = |&(peer, samples)| Contender { peer, samples };
        figures.iter().map(contender).collect()
    }

    fn held(bar: Bar, better: Better, figures: &[(Peer, &[f64])]) -> Verdict {
        bar.hold(better, "ns", &cells(figures))
    }

    #[test]
    fn a_bar_is_held_against_the_best_of_the_peers_it_names() {
        let figures: [(Peer, &[f64]); 4] = [
            (Peer::Ours, &[10.0]),
            (Peer::Tokio, &[30.0]),
            (Peer::May, &[15.0]),
            (Peer::Epoll, &[1.0]),
        ];
        let half = held(Bar::BestPeer(0.5), Better::Less, &figures);
        assert_eq!((half.against, half.hit), (Some(Peer::May), Some(false)));
        let named = Bar::BestOf(0.5, &[Peer::Tokio]);
        assert_eq!(held(named, Better::Less, &figures).hit, Some(true));
        let yardstick = Bar::BestOf(10.0, &[Peer::Epoll]);
        assert_eq!(held(yardstick, Better::Less, &figures).value, Some(10.0));
        let figure = |limit| held(Bar::Absolute(limit), Better::Less, &figures).hit;
        assert_eq!((figure(10.0), figure(9.0)), (Some(true), Some(false)));
    }

    #[test]
    fn where_more_is_better_the_best_is_the_largest_and_a_bar_is_a_floor() {
        let figures: [(Peer, &[f64]); 3] = [
            (Peer::Ours, &[90.0]),
            (Peer::Tokio, &[100.0]),
            (Peer::May, &[10.0]),
        ];
        let verdict = held(Bar::BestPeer(1.0), Better::More, &figures);
        assert_eq!(
            (verdict.against, verdict.hit),
            (Some(Peer::Tokio), Some(false))
        );
        assert_eq!(verdict.bar, ">= 1.00");
        let lower = held(Bar::BestPeer(0.9), Better::More, &figures);
        assert_eq!(lower.hit, Some(true));
    }

    #[test]
    fn a_ratio_is_within_a_round_and_rounds_that_disagree_are_counted() {
        let tokio = [20.0, 20.0, 40.0];
        assert_eq!(ratio(&OURS, &tokio), Some(0.5));
        let figures: [(Peer, &[f64]); 2] = [(Peer::Ours, &OURS), (Peer::Tokio, &tokio)];
        let verdict = held(Bar::BestPeer(0.5), Better::Less, &figures);
        assert_eq!(
            (verdict.hit, verdict.rounds_hit, verdict.rounds),
            (Some(true), 2, 3)
        );
        assert_eq!(verdict.word(), "hit (2 of 3)");
        let missed = held(Bar::BestPeer(0.4), Better::Less, &figures);
        assert_eq!(missed.word(), "MISS");
    }

    #[test]
    fn a_ratio_that_is_not_the_rows_own_stands_beside_its_bar() {
        let figures: [(Peer, &[f64]); 3] = [
            (Peer::Ours, &[10.0]),
            (Peer::Tokio, &[30.0]),
            (Peer::May, &[15.0]),
        ];
        let verdict = held(Bar::BestOf(0.5, &[Peer::Tokio]), Better::Less, &figures);
        assert_eq!(
            verdict.bar_beside(Some(Peer::May)),
            "<= 0.50 of tokio: 0.33"
        );
        assert_eq!(verdict.bar_beside(Some(Peer::Tokio)), "<= 0.50 of tokio");
        let absolute = held(Bar::Absolute(9.0), Better::Less, &figures);
        assert_eq!(absolute.bar_beside(Some(Peer::May)), "<= 9.00 ns");
    }

    #[test]
    fn our_own_failure_misses_the_bar_and_a_peers_failure_is_no_figure() {
        let ours_failed: [(Peer, &[f64]); 2] = [(Peer::Ours, &[]), (Peer::May, &[15.0])];
        for bar in [Bar::BestPeer(0.5), Bar::Absolute(1.0)] {
            let verdict = held(bar, Better::Less, &ours_failed);
            assert_eq!((verdict.value, verdict.hit), (None, Some(false)));
        }
        let peer_failed: [(Peer, &[f64]); 2] = [(Peer::Ours, &OURS), (Peer::May, &[])];
        let verdict = held(Bar::BestPeer(0.5), Better::Less, &peer_failed);
        assert_eq!((verdict.against, verdict.hit), (None, None));
    }

    #[test]
    fn there_is_no_ratio_to_a_peer_that_costs_nothing() {
        for samples in [[-3.0], [0.0]] {
            let figures: [(Peer, &[f64]); 2] = [(Peer::Ours, &OURS), (Peer::Go, &samples)];
            assert_eq!(held(Bar::BestPeer(1.0), Better::Less, &figures).value, None);
            assert_eq!(ratio(&OURS, &samples), None);
        }
        assert_eq!(ratio(&OURS, &[5.0, -1.0, 5.0]), Some(3.0));
        assert_eq!(ratio(&OURS, &[]), None);
    }

    #[test]
    fn a_bar_in_words_names_its_peers_and_its_unit() {
        let words = |bar: Bar| bar.words(Better::Less, "ns");
        assert_eq!(words(Bar::BestPeer(0.5)), "<= 0.50");
        assert_eq!(
            words(Bar::BestOf(0.1, &[Peer::Tokio, Peer::Go])),
            "<= 0.10 of tokio, go"
        );
        assert_eq!(words(Bar::Absolute(50.0)), "<= 50.0 ns");
    }
}
