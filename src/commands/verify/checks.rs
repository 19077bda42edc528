//! What must hold between a source and an output. Pure.

use millrace_formats::{CONTAINERS, Codec, Container, TABLES, codec::AudioCodec, container::Priming};
use millrace_media::{AudioMeasurement, Inspected, PicturesMeasured, Verified};
use millrace_processors::split::OutputPreview;
use millrace_profiles::Wanted;
use millrace_schemas::{AudioFilters, AudioSettings, Light, Picture, Ratio, Sound};
use millrace_worker::Comparison;
use serde::Serialize;

/// One thing that is held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Check {
    /// What it is.
    pub(super) what: String,
    /// What the source has.
    pub(super) source: String,
    /// What the output has.
    pub(super) output: String,
    /// Whether it is as it must be.
    pub(super) holds: bool,
    /// What more there is to say.
    pub(super) note: String,
}

/// How far a picture may be from its time, in ticks of the coarser clock.
const SLACK_TICKS: f64 = 1.5;
/// How much longer or shorter the last picture may be shown, in seconds: a container without lengths takes the frame rate's.
const LAST_SLACK: f64 = 0.020;
/// How much sound may move against pictures, in seconds.
const SLACK_SYNC: f64 = 0.030;
/// The least likeness of a picture to its own source picture, in decibels of PSNR.
const LEAST_LIKE: f32 = 20.0;
/// A picture that is so like its own source picture is it, whatever else it is like: pictures of a standing scene are alike.
const SURELY_LIKE: f32 = 38.0;
/// The least likeness of a second of sound: the correlation.
const LEAST_SOUND: f64 = 0.75;
/// The least likeness of a short part of a second that is itself at least so much alike.
const LEAST_PART: f64 = 0.3;
const WELL_CODED: f64 = 0.9;
/// The least likeness of a channel's spectrum.
const LEAST_CHANNEL: f64 = 0.8;
/// How far a second of sound may be moved, in milliseconds, and how much louder or softer it may be, in decibels.
const SLACK_SOUND_MS: f64 = 8.0;
const SLACK_LEVEL_DB: f64 = 1.5;

/// All that is held. `plan` is what was planned of the source, if that is more than `wanted` says of each track.
pub(super) fn checks(comparison: &Comparison, wanted: &Wanted, plan: Option<&OutputPreview>) -> Vec<Check> {
    let mut checks = Vec::new();
    let made = made_as(&comparison.output, wanted);
    pictures(comparison, made, &mut checks);
    sound(comparison, (wanted, made), plan, &mut checks);
    beside(comparison, (wanted, made), plan, &mut checks);
    of_bytes(comparison, &mut checks);
    checks
}

/// What is held of pictures alone, as of a further size.
pub(super) fn of_pictures(comparison: &Comparison, wanted: &Wanted, checks: &mut Vec<Check>) {
    pictures(comparison, made_as(&comparison.output, wanted), checks);
    of_bytes(comparison, checks);
}

/// What an output must be whatever its source is.
fn of_bytes(comparison: &Comparison, checks: &mut Vec<Check>) {
    let measured = &comparison.measured;
    hold(
        checks,
        "decoding times",
        ("", if measured.disorder.is_some() { "out of order" } else { "increase" }),
        measured.disorder.is_none(),
        measured.disorder.clone().unwrap_or_default(),
    );
    let untrue = measured.untrue.len();
    hold(checks, "own statements", ("", format!("{untrue} untrue")), untrue == 0, measured.untrue.join("; "));
}

pub(super) fn hold(
    checks: &mut Vec<Check>,
    what: &str,
    (source, output): (impl ToString, impl ToString),
    holds: bool,
    note: impl Into<String>,
) {
    let (source, output) = (source.to_string(), output.to_string());
    checks.push(Check { what: what.into(), source, output, holds, note: note.into() });
}

fn pictures(comparison: &Comparison, made_as: Option<&Container>, checks: &mut Vec<Check>) {
    let (source, output) = (&comparison.source.facts.video, &comparison.output.facts.video);
    let words = |there: bool| if there { "yes" } else { "none" };
    let (Some(source), Some(output), Some(asked)) = (source, output, &comparison.video) else {
        let (a, b) = (source.is_some(), output.is_some());
        let left_out = !b && made_as.is_some_and(|made| made.video.most == 0);
        if (a || b) && !left_out {
            hold(checks, "pictures", (words(a), words(b)), false, "");
        }
        return;
    };
    let measured = comparison.measured.pictures.clone().unwrap_or_default();
    hold(checks, "pictures", (measured.source, measured.output), measured.source == measured.output, "");
    let slack = (SLACK_TICKS * measured.tick).max(0.0005);
    hold(
        checks,
        "times",
        ("", format!("off by {:.2} ms at most", measured.off * 1000.0)),
        measured.off <= slack,
        if measured.off > slack { format!("picture {}", measured.off_at) } else { String::new() },
    );
    last_picture(made_as, &measured, slack, checks);
    let damaged = (measured.source_damaged, measured.output_damaged);
    hold(checks, "damaged pictures", damaged, measured.output_damaged == 0, "");
    let (was, made) = (&source.picture, &output.picture);
    let size = |width: i32, height: i32| format!("{width}x{height}");
    let same = (asked.width, asked.height) == (made.width, made.height);
    hold(checks, "size", (size(asked.width, asked.height), size(made.width, made.height)), same, turned(was));
    let upright = made.rotation == 0 && !made.mirrored;
    hold(checks, "upright", (turned(was), turned(made)), upright, "");
    let aspect = |ratio: Ratio| if ratio.num > 0 { ratio.as_f64() } else { 1.0 };
    let (a, b) = (aspect(asked.sample_aspect), aspect(made.sample_aspect));
    let rounded = made_as.map_or(0.0, |as_is| as_is.index.aspect_slack(made.width));
    let same = (a - b).abs() <= (0.001 * a).max(rounded);
    hold(checks, "sample aspect", (format!("{a:.4}"), format!("{b:.4}")), same, "");
    let known = |a: i32, b: i32| a == b || matches!(a, 0 | 2);
    let (a, b) = (asked.color, made.color);
    let same = known(a.primaries, b.primaries)
        && known(a.transfer, b.transfer)
        && known(a.matrix, b.matrix)
        && (a.range == 2) == (b.range == 2);
    let text = |c: millrace_schemas::Color| {
        let range = if c.range == 2 { "full" } else { "limited" };
        format!("{}/{}/{} {range}", c.primaries, c.transfer, c.matrix)
    };
    let note = if asked.tone_map { format!("mapped from {}", text(was.color)) } else { String::new() };
    hold(checks, "colour (H.273)", (text(a), text(b)), same, note);
    light(asked.light.as_ref(), made.light.as_ref(), checks);
    let fields = |order: i32| match order {
        1 => "top first",
        2 => "bottom first",
        _ => "none",
    };
    let (a, b) = (asked.field_order, made.field_order);
    hold(checks, "fields", (fields(a), fields(b)), a == b, "");
    like(&comparison.measured, checks);
}

/// The mastering display and the light levels, where either says something: the greatest luminance of the display, and both levels.
fn light(asked: Option<&Light>, made: Option<&Light>, checks: &mut Vec<Check>) {
    let text = |light: Option<&Light>| {
        let Some(Light { mastering, most, most_average }) = light else { return "none".to_owned() };
        // Steps of 0.0001 cd/m².
        let display = mastering.get(8).map_or("?".to_owned(), |steps| (steps / 10_000).to_string());
        format!("{display}, {most}, {most_average}")
    };
    if asked.is_some() || made.is_some() {
        hold(checks, "light (cd/m²)", (text(asked), text(made)), asked == made, "");
    }
}

/// For how long the last picture is shown, where the source says so and the output's container can.
fn last_picture(
    made_as: Option<&Container>,
    measured: &PicturesMeasured,
    slack: f64,
    checks: &mut Vec<Check>,
) {
    let (a, b) = (measured.source_last, measured.output_last);
    if a <= 0.0 || made_as.is_some_and(|made| !made.last_length) {
        return;
    }
    let text = |seconds: f64| format!("{seconds:.3} s");
    hold(checks, "last picture", (text(a), text(b)), (a - b).abs() <= slack.max(LAST_SLACK), "shown for");
}

/// What a file is, if outputs are made as such.
fn made_as(output: &Inspected, wanted: &Wanted) -> Option<&'static Container> {
    if wanted.container.demuxer == output.container {
        return Some(wanted.container);
    }
    TABLES.container_of_file(&output.container, output.facts.video.is_some())
}

/// How a picture is to be laid down.
fn turned(picture: &Picture) -> String {
    match (picture.mirrored, picture.rotation) {
        (false, 0) => String::new(),
        (false, degrees) => format!("turned by {degrees}"),
        (true, degrees) => format!("mirrored, turned by {degrees}"),
    }
}

/// Picture by picture.
fn like(measured: &Verified, checks: &mut Vec<Check>) {
    let all = &measured.likeness;
    let Some((worst, least)) = all.iter().map(|l| l.own).enumerate().min_by(|a, b| a.1.total_cmp(&b.1))
    else {
        return;
    };
    let mean = all.iter().map(|l| f64::from(l.own)).sum::<f64>() / all.len() as f64;
    let note = format!("picture {worst}; {mean:.1} dB on average");
    hold(checks, "each picture", ("", format!("{least:.1} dB at least")), least >= LEAST_LIKE, note);
    let nearer = |l: &millrace_media::PicturePsnr| {
        let other = l.before.into_iter().chain(l.after).fold(f32::MIN, f32::max);
        l.own < SURELY_LIKE && other > l.own + 1.0
    };
    let misplaced = all.iter().filter(|l| nearer(l)).count();
    let first = all.iter().position(nearer).map_or(String::new(), |first| format!("from picture {first} on"));
    hold(checks, "like a neighbour", ("", misplaced), misplaced == 0, first);
}

fn sound(
    comparison: &Comparison,
    (wanted, made): (&Wanted, Option<&Container>),
    plan: Option<&OutputPreview>,
    checks: &mut Vec<Check>,
) {
    let (source, output) = (&comparison.source, &comparison.output);
    let (a, b) = (source.facts.audio.len(), output.facts.audio.len());
    let asked = made.map_or(a, |made| a.min(made.audio.most));
    let asked = plan.map_or(if wanted.is_without_audio() { 0 } else { asked }, |plan| plan.audio.len());
    if a + b > 0 {
        hold(checks, "sound tracks", (a, b), b == asked, "");
    }
    let first = comparison.measured.pictures.as_ref().map(|p| (p.source_first, p.output_first));
    let primed = made.is_some_and(|made| made.priming == Priming::Heard);
    for (i, pair) in comparison.measured.sounds.iter().enumerate() {
        let of = |what: &str| if a.max(b) > 1 { format!("{what} {i}") } else { what.to_owned() };
        let (x, y) = (&pair.source, &pair.output);
        let span = |heard: &AudioMeasurement| heard.end - heard.start;
        let sound = Sound { sample_rate: x.rate, channels: x.channels, layout: x.layout.clone() };
        let (asked, remark) = wanted.audio_settings(&sound, "").unzip();
        let asked = plan.and_then(|plan| plan.audio.get(i)).cloned().or(asked);
        let frame = frame_size(asked.as_ref(), made) / f64::from(y.rate.max(8000));
        // A codec pads its last packet, and not everybody says by how much. Nothing may be missing.
        let more = 2.0 * frame + 0.005;
        let less = if primed || x.holes > 0 { more } else { 0.006 };
        let lasts = (-less..=more).contains(&(span(y) - span(x)));
        let text = |heard: &AudioMeasurement| format!("{:.3} s", span(heard));
        hold(checks, &of("sound length"), (text(x), text(y)), lasts, "");
        if let Some((from, to)) = first {
            let (end, made) = (x.end - from, y.end - to);
            let less = if x.holes > 0 { more } else { 0.006 };
            let text = |at: f64| format!("{at:+.3} s");
            hold(checks, &of("sound ends"), (text(end), text(made)), end - made <= less, "");
            let (x, y) = (x.start - from, y.start - to);
            let slack = SLACK_SYNC + if primed { frame } else { 0.0 };
            hold(
                checks,
                &of("sound begins"),
                (text(x), text(y)),
                (x - y).abs() <= slack,
                "from the first picture",
            );
        }
        hold(checks, &of("holes in sound"), (x.holes, y.holes), y.holes <= x.holes, "");
        hold(checks, &of("damaged sound"), (x.damaged, y.damaged), y.damaged == 0, "");
        let name = |layout: &str, channels: i32| match layout {
            "" => format!("{channels} channels"),
            layout => layout.to_owned(),
        };
        let names = (name(&x.layout, x.channels), name(&y.layout, y.channels));
        let layout_of = |asked: &AudioSettings| y.layout == asked.layout || asked.layout.is_empty();
        let same = y.layout == x.layout || asked.as_ref().is_some_and(layout_of);
        let filters = asked.as_ref().and_then(|asked| asked.filters.clone()).unwrap_or_default();
        let as_many = asked.is_some_and(|asked| y.channels == asked.channels) || y.channels == x.channels;
        let same = same && as_many;
        hold(checks, &of("channels"), names, same, remark.flatten().unwrap_or_default());
        swapped(&comparison.measured, i, checks);
        // Sound alone is counted from its own start, which priming moves.
        let slack = SLACK_SOUND_MS + if primed && first.is_none() { 1000.0 * frame } else { 0.0 };
        alike(&comparison.measured, i, slack, &filters, checks);
    }
}

/// The length of a packet of sound of these settings, or of what a file usually holds, in samples.
fn frame_size(asked: Option<&AudioSettings>, made: Option<&Container>) -> f64 {
    let asked = asked.and_then(|asked| TABLES.codec(&asked.codec).ok());
    let codec = asked.or_else(|| made.unwrap_or(CONTAINERS[0]).audio_codec());
    codec.and_then(<dyn Codec>::audio).map_or(0, AudioCodec::frame_size) as f64
}

/// Second by second. What `filters` change is not held against the source.
fn alike(measured: &Verified, track: usize, slack_ms: f64, filters: &AudioFilters, checks: &mut Vec<Check>) {
    let all: Vec<_> = measured.seconds.iter().filter(|second| second.track == track).collect();
    let Some(worst) = all.iter().min_by(|a, b| a.likeness.total_cmp(&b.likeness)) else { return };
    let note = format!("second {}", worst.second);
    let value = format!("correlation {:.3} at least", worst.likeness);
    let is_other = filters.denoise || filters.high_pass > 0;
    hold(checks, "each second", ("", value), is_other || worst.likeness >= LEAST_SOUND, note);
    // In seconds that are coded well, a short part that is not is another one.
    let well = all.iter().filter(|second| second.likeness >= WELL_CODED);
    if let Some(worst) = well.min_by(|a, b| a.least.total_cmp(&b.least)) {
        let value = format!("correlation {:.3} at least", worst.least);
        let note = format!("second {}", worst.second);
        hold(checks, "each 20 ms", ("", value), is_other || worst.least >= LEAST_PART, note);
    }
    let shift = all.iter().map(|s| s.shift_ms).max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
    hold(checks, "moved by", ("", format!("{shift:+.1} ms at most")), shift.abs() <= slack_ms, "");
    let level = all.iter().map(|s| s.level_db).max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
    let is_leveled = *filters != AudioFilters::default();
    let is_as_loud = is_leveled || level.abs() <= SLACK_LEVEL_DB;
    let note = if is_leveled { "its filters change it" } else { "" };
    hold(checks, "louder by", ("", format!("{level:+.2} dB at most")), is_as_loud, note);
}

/// Channel by channel.
fn swapped(measured: &Verified, track: usize, checks: &mut Vec<Check>) {
    let all: Vec<_> = measured.channels.iter().filter(|channel| channel.track == track).collect();
    let Some(worst) = all.iter().min_by(|a, b| a.likeness.total_cmp(&b.likeness)) else { return };
    let value = format!("{:.3} alike at least", worst.likeness);
    let note = format!("channel {} in second {}", worst.channel, worst.second);
    hold(checks, "each channel", ("", value), worst.likeness >= LEAST_CHANNEL, note);
}

/// What lies beside, where the container holds it.
fn beside(
    comparison: &Comparison,
    (wanted, made): (&Wanted, Option<&Container>),
    plan: Option<&OutputPreview>,
    checks: &mut Vec<Check>,
) {
    let (source, output) = (&comparison.source, &comparison.output);
    if made.is_some_and(|made| made.text.most == 0 && !made.chapters && !made.timecode) {
        return;
    }
    let is_text = |codec: &str| TABLES.codec(codec).is_ok_and(<dyn Codec>::is_text);
    let texts = |found: &Inspected| found.facts.auxiliary.iter().filter(|side| is_text(&side.codec)).count();
    // Tracks without packets, and of other kinds than text, are left out.
    let (a, b) = (texts(source).min(comparison.measured.texts.0), comparison.measured.texts.1);
    if a + b > 0 {
        // Chapters are text, too, in mp4.
        let more = usize::from(!output.facts.chapters.is_empty());
        let held = made.map_or(a, |made| a.min(made.text.most));
        // In a part of the source a track may have no text.
        let least = if plan.is_some() { 0 } else { held };
        hold(checks, "text tracks", (held, b), b == held + more || (least..=held).contains(&b), "");
    }
    let holds = |of: fn(&Container) -> bool| made.is_none_or(of);
    let (a, b) = (source.facts.chapters.len(), output.facts.chapters.len());
    let a = plan.map_or(a, |plan| plan.extras.chapters.len());
    if a + b > 0 && holds(|made| made.chapters) {
        hold(checks, "chapters", (a, b), a == b, "");
    }
    let title = |found: &Inspected| {
        let of_it = found.facts.metadata.iter().find(|(key, _)| key.eq_ignore_ascii_case("title"));
        of_it.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let (a, b) = (title(source), title(output));
    if !a.is_empty() && holds(|made| made.metadata) {
        hold(checks, "title", (&a, &b), a == b, "");
    }
    let asked = match plan {
        Some(plan) => plan.extras.timecode.clone(),
        None => wanted.timecode(&source.facts),
    };
    if let Some(code) = asked.filter(|_| holds(|made| made.timecode)) {
        let found = output.facts.timecode.clone().unwrap_or_default();
        hold(checks, "timecode", (&code, &found), code == found, "");
    }
}
