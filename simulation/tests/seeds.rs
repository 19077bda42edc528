//! Simulation itself: what it finds must be found again.
#![allow(clippy::unwrap_used, missing_docs)]

use millrace_simulation::{Plan, Trouble, run};

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2, 12, 159, 203] {
        let plan = Plan::of(seed);
        let (one, two) = (run(&plan, true), run(&plan, true));
        assert_eq!(one.trace, two.trace, "seed {seed}");
        assert_eq!(one.lasted, two.lasted, "seed {seed}");
        assert!(one.trace.len() > 5, "something happens in seed {seed}");
    }
}

/// With the assertions of a debug build; `make simulate` runs many more without.
#[test]
fn the_invariants_hold_in_two_hundred_runs() {
    for seed in 1..=200 {
        let plan = Plan::of(seed);
        assert_eq!(run(&plan, false).violations, [], "{plan}");
    }
}

/// First runs of segments, then what is behind them, at last the whole video in one piece.
#[test]
fn segments_are_made_again_in_up_to_three_rounds() {
    let plans = (1..=100).map(Plan::of).filter(|plan| plan.has(Trouble::FalseKeyframes));
    let trace: Vec<String> = plans.flat_map(|plan| run(&plan, true).trace).collect();
    for round in ["round 0 ", "round 1 ", "round 2 "] {
        assert!(trace.iter().any(|line| line.contains(round)), "{round}");
    }
    assert!(!trace.iter().any(|line| line.contains("round 3 ")), "then every seam is clean");
}

#[test]
fn every_kind_of_trouble_comes_up() {
    for trouble in Trouble::ALL {
        let seeds = (0..100).filter(|seed| Plan::of(*seed).has(trouble)).count();
        assert!((20..80).contains(&seeds), "{trouble:?} in {seeds} of 100");
    }
}
