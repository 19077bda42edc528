//! Records with the fields up to a group of versions.

use std::collections::HashMap;

use millrace_schemas::*;

use super::parts::*;

/// A signal that says everything, which no real one does.
pub(crate) fn signal(fields: Fields) -> Signal {
    let mut signal = Signal::new("0123456789abcdef", 2, 1_700_000_000_000);
    signal.started = Some(Started {
        source: source(),
        tracks: vec![track(fields)],
        outputs: vec![output(fields)],
        labels: HashMap::new(),
        deadline_ms: Some(5),
        work: "w".into(),
        upload: Some(upload(fields)),
        kept: vec![facts(fields)],
        warnings: warnings(fields),
    });
    signal.refused =
        Some(Refused { source: "file:///x".into(), reason: "is empty".into(), upload: Some(upload(fields)) });
    let made = Made {
        rendition: "v-1".into(),
        units: 5,
        packets: 6,
        bytes: 7,
        first: -8,
        next: Some(9),
        reorder: 1,
        digest: i64::MIN,
    };
    signal.segment = Some(SegmentOutcome {
        index: 3,
        made: vec![made.clone()],
        reused: true,
        failure: Some("broken".into()),
        warnings: warnings(fields),
        replaced: fields.since(Seams, vec![made]),
    });
    signal.merge = Some(MergeOutcome {
        url: "file:///out/a.mp4".into(),
        facts: Some(facts(fields)),
        failure: Some("no room".into()),
        round: fields.since(Seams, 1),
        again: fields.since(
            Seams,
            vec![UncleanRun {
                rendition: "v-1".into(),
                replaces: vec![3, 4],
                start: Some(90_000),
                end: None,
                seeks: vec![Seek { by: SeekBy::Time, at: 45_000, state: 0 }],
            }],
        ),
        warnings: fields.since(Seams, vec!["sound runs 1.0 % fast".into()]),
        step: fields.since(Steps, MergeStep::Stage),
        token: fields.since(Steps, "00c0ffee00c0ffee".into()),
        passes: fields
            .since(Rates, vec![NextPass { rendition: "v-1".into(), bit_rate: 3_500_000, quality: 22.25 }]),
    });
    signal.cancelled = Some(Cancelled { reason: "asked".into() });
    signal
}

pub(crate) fn old_signal(version: usize) -> Signal {
    let mut signal = signal(match version {
        12 => Grids,
        11 => Packages,
        10 => Rates,
        9 => Filters,
        8 => Profiles,
        7 => Steps,
        6 => Principals,
        5 => Seams,
        4 => Facts,
        _ => Early,
    });
    if version >= 3 {
        return signal;
    }
    if let (Some(started), Some(refused)) = (&mut signal.started, &mut signal.refused) {
        let upload = (version == 2).then(|| old_upload(2));
        started.upload.clone_from(&upload);
        refused.upload = upload;
        started.kept.clear();
        if version == 1 {
            started.work.clear();
        }
    }
    signal
}

pub(crate) fn assembly(fields: Fields) -> Assembly {
    Assembly {
        execution: "0123456789abcdef".into(),
        attempt: 2,
        phase: Phase::Cancelled,
        source: source(),
        reason: Some("asked".into()),
        segments_done: vec![0b101, 1],
        segments: 10,
        done: 3,
        video_segments: 9,
        reused: 1,
        tracks: vec![sum(fields)],
        outputs: vec![PlannedOutput {
            plan: output(fields),
            facts: Some(facts(fields)),
            standing: fields.since(Steps, Standing::Staged),
            token: fields.since(Steps, "00c0ffee00c0ffee".into()),
        }],
        labels: HashMap::from([("team".into(), "film".into())]),
        started_ms: 1,
        ended_ms: Some(2),
        deadline_ms: Some(3),
        work: "w".into(),
        upload: Some(upload(fields)),
        warnings: warnings(fields),
        segment_warnings: fields.since(Seams, vec!["a picture at 0.500 s is damaged".into()]),
        round: fields.since(Seams, 1),
        again: fields.since(Seams, vec![Again { index: 2_100_001, replaces: vec![3, 4] }]),
        step: fields.since(Steps, MergeStep::Publish),
        waiting: fields.since(Grids, Some(waiting())),
    }
}

pub(crate) fn waiting() -> Waiting {
    let run = UncleanRun {
        rendition: "v-1".into(),
        replaces: vec![3],
        start: Some(100),
        end: None,
        seeks: vec![Seek { by: SeekBy::Byte, at: 77, state: 1 }],
    };
    let pass = NextPass { rendition: "v-1".into(), bit_rate: 3_500_000, quality: 22.25 };
    Waiting { urls: vec!["file:///out/a.mp4".into()], again: vec![run], passes: vec![pass] }
}

pub(crate) fn merge(fields: Fields) -> Merge {
    Merge {
        execution: "0123456789abcdef".into(),
        attempt: 2,
        source: source(),
        output: output(fields),
        tracks: vec![sum(fields)],
        work: "w".into(),
        round: fields.since(Seams, 1),
        strict: fields >= Seams,
        step: fields.since(Steps, MergeStep::Publish),
        token: fields.since(Steps, "00c0ffee00c0ffee".into()),
    }
}

pub(crate) fn merged(fields: Fields) -> Merged {
    Merged {
        execution: "0123456789abcdef".into(),
        attempt: 2,
        state: Phase::Succeeded,
        reason: None,
        source: source(),
        outputs: vec![facts(fields)],
        segments: 9,
        segments_reused: 1,
        started_ms: 1,
        ended_ms: 2,
        labels: HashMap::new(),
        work: "w".into(),
        warnings: warnings(fields),
    }
}

pub(crate) fn warnings(fields: Fields) -> Vec<String> {
    fields.since(Facts, vec!["2 pictures between 1.000 s and 1.040 s are damaged".into()])
}
