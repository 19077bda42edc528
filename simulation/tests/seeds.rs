//! The simulation itself: runs are repeatable, and every kind of fault occurs.
#![allow(clippy::unwrap_used, missing_docs)]

use millrace_simulation::{InjectedFault, Plan, run};

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2, 12, 159, 203] {
        let plan = Plan::from_seed(seed);
        let (one, two) = (run(&plan, true), run(&plan, true));
        assert_eq!(one.trace, two.trace, "seed {seed}");
        assert_eq!(one.lasted, two.lasted, "seed {seed}");
        assert!(one.trace.len() > 5, "seed {seed} has events");
    }
}

/// With the assertions of a debug build; `make simulate` runs many more without.
#[test]
fn the_invariants_hold_in_two_hundred_runs() {
    for seed in 1..=200 {
        let plan = Plan::from_seed(seed);
        assert_eq!(run(&plan, false).violations, [], "{plan}");
    }
}

/// First runs of segments, then the segments behind them, and then the whole video in one piece.
#[test]
fn segments_are_made_again_in_up_to_three_rounds() {
    let plans = (1..=100).map(Plan::from_seed).filter(|plan| plan.has(InjectedFault::FalseKeyframes));
    let trace = plans.flat_map(|plan| run(&plan, true).trace);
    // Further rounds are passes for an average bit rate: those keep seams clean.
    let trace: Vec<String> = trace.filter(|line| line.ends_with("are unclean")).collect();
    for round in ["round 0 ", "round 1 ", "round 2 "] {
        assert!(trace.iter().any(|line| line.contains(round)), "{round}");
    }
    assert!(!trace.iter().any(|line| line.contains("round 3 ")), "after round 2 every seam is clean");
}

#[test]
fn every_kind_of_fault_is_injected() {
    for fault in InjectedFault::ALL {
        let seeds = (0..100).filter(|seed| Plan::from_seed(*seed).has(fault)).count();
        assert!((20..80).contains(&seeds), "{fault:?} in {seeds} of 100");
    }
}
