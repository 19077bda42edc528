//! Puts an output together out of work objects, by copying packets, and proves it.

use std::{cell::RefCell, fs::File, io::Seek, rc::Rc};

use millrace_formats::{
    Container,
    container::{Layout, Priming},
};

mod hold;
mod package;
mod pictures;
mod rates;
#[cfg(test)]
mod tests;
mod track;
mod waveform;

use self::track::{Copies, Track};
use super::{
    copy::SharedSource,
    failure::Failure,
    mux::{self, Muxer, Planned, container},
    prove::{Expected, prove},
    read_back::ReadPackets,
    report::Reporter,
};
use crate::{
    protocol::{MergeTask, Merged, Reply, UncleanSegments},
    seams::{self, Decoded, SegmentRun},
    timeline::{Clock, compare, seconds},
};

/// Puts an output together out of work objects, and out of the source of copies, and proves it. With `other`, that file is proven in
/// its place.
pub(crate) fn merge(
    output: &File,
    other: Option<&File>,
    task: &MergeTask,
    (files, source): (Vec<File>, Option<File>),
    reporter: &mut Reporter,
) -> Result<Reply, Failure> {
    let container = container(&task.output.format)?;
    let mut tracks = Vec::new();
    for (track, file) in task.tracks.iter().zip(files) {
        tracks.push(Track::open(track.clone(), file)?);
    }
    let copies = copies(&tracks, source)?;
    for track in &mut tracks {
        track.start(copies.as_ref())?;
    }
    // A track without a packet is in no output.
    let (mut tracks, empty): (Vec<Track>, Vec<Track>) =
        tracks.into_iter().partition(|track| track.first.is_some());
    // In all containers covers lie beside the tracks, and readers list them last.
    tracks.sort_by_key(|track| mux::is_cover(&track.header));
    if container.package().is_some() {
        package::sort(&mut tracks);
    }
    let mut warnings: Vec<String> = empty.iter().map(Track::left_out).collect();
    let is_part = empty.iter().any(Track::is_of_part);
    let origin = origin(&tracks, container).ok_or_else(|| nothing(empty.len(), is_part))?;
    let mut written = None;
    if tracks.iter().all(|track| track.clean) {
        if other.is_some() && !container.is_one_file() {
            return Err(Failure::new(format!(
                "{} is proven where it is made, and in no other place",
                container.name
            )));
        }
        written = match container.layout {
            Layout::OneFile => {
                write(output, task, container, &mut tracks, origin, reporter)?.map(Written::File)
            }
            Layout::Package(layout) => {
                let of = (container, &layout);
                package::write(output, task, of, &mut tracks, origin, reporter)?.map(Written::Package)
            }
            Layout::Waveform => waveform::write(output, task, &mut tracks, reporter)?
                .map(|made| Written::Waveform(Box::new(made))),
            Layout::Pictures(layout) => {
                let of = (container, layout);
                pictures::write(output, task, of, &mut tracks, reporter)?.map(Written::Pictures)
            }
        };
    }
    let unclean = unclean(&mut tracks, task.round, reporter)?;
    if !unclean.is_empty() {
        return Ok(Reply::Again { segments: unclean, passes: Vec::new() });
    }
    if let Some(empty_buffer) = tracks.iter().find_map(Track::empty_buffer) {
        return Err(empty_buffer);
    }
    let rates::Verdict { passes, remarks } = rates::judge(&tracks)?;
    if !passes.is_empty() {
        let of_it = |track: &&Track| passes.iter().any(|pass| pass.rendition == track.sum.plan.rendition);
        let segments = tracks.iter().filter(of_it).flat_map(each_again).collect();
        return Ok(Reply::Again { segments, passes });
    }
    warnings.extend(remarks);
    warnings.extend(tracks.iter().chain(&empty).flat_map(|track| track.warnings.clone()));
    if let Some(first) = warnings.first().filter(|_| task.strict) {
        return Err(Failure::new(format!("the source can't be made as it is (strict): {first}")));
    }
    warnings.extend(task.output.remarks.iter().cloned());
    warnings.extend(tracks.iter().filter_map(|track| track.unsaid_end(container)));
    for track in empty {
        track.expected()?;
    }
    let expected: Vec<Expected> = tracks.into_iter().map(Track::expected).collect::<Result<_, _>>()?;
    let mut merged = match written {
        Some(Written::Package(written)) => {
            package::prove(output, task, container, (&expected, written), reporter)?
        }
        Some(Written::Pictures(written)) => pictures::prove(written),
        Some(Written::Waveform(merged)) => *merged,
        Some(Written::File(WrittenFile { ticks, read })) => {
            // Of another file, nothing was read yet.
            let read = if other.is_some() { ReadPackets::default() } else { read };
            let reread = other.unwrap_or(output).try_clone();
            let mut reread = reread.map_err(Failure::at("reading the output again"))?;
            reread.rewind().map_err(Failure::at("reading the output again"))?;
            prove(reread, &task.output, container, (&expected, ticks, &read), reporter)?
        }
        None => return Err(Failure::new("the output was not written to its end")),
    };
    merged.warnings = warnings;
    Ok(Reply::Merged(Box::new(merged)))
}

/// An output that was written.
enum Written {
    File(WrittenFile),
    Package(package::Written),
    Pictures(pictures::Written),
    /// A picture of the sound's peaks, which was read again.
    Waveform(Box<Merged>),
}

/// A file that was written.
struct WrittenFile {
    /// The ticks a second of its movie clock, or 0 if it has none.
    ticks: i64,
    /// The packets that were read again already.
    read: ReadPackets,
}

/// Opens the source of the tracks that are copied.
fn copies(tracks: &[Track], source: Option<File>) -> Result<Option<Copies>, Failure> {
    let streams: Vec<i32> = tracks.iter().filter_map(|track| track.header.source_stream).collect();
    let Some(file) = source.filter(|_| !streams.is_empty()) else { return Ok(None) };
    let shared = SharedSource::open(file, &streams)?;
    Ok(Some(Rc::new(RefCell::new(shared))))
}

fn nothing(tracks: usize, is_part: bool) -> Failure {
    if is_part {
        return Failure::new(
            "no picture and no sound lies in the part of the source that is used; set another source.trim",
        );
    }
    Failure::new(match tracks {
        0 => "there is neither a picture nor a sound to put together".into(),
        1 => "its only track holds no packets that can be read".into(),
        tracks => format!("none of its {tracks} tracks holds a packet"),
    })
}

/// Writes a file, as far as seams are clean. `None` if segments of it are to be made again.
fn write(
    output: &File,
    task: &MergeTask,
    container: &Container,
    tracks: &mut [Track],
    origin: (i64, Clock),
    reporter: &mut Reporter,
) -> Result<Option<WrittenFile>, Failure> {
    let planned: Vec<Planned<'_>> = tracks
        .iter()
        .map(|track| Planned {
            header: &track.header,
            tags: track.sum.plan.tags.clone().unwrap_or_default(),
            first: track.held.as_ref().map_or(&[], |packet| &*packet.data),
        })
        .collect();
    let packets = tracks.iter().map(|track| track.sum.packets).sum();
    let copy = output.try_clone().map_err(Failure::at("writing the output"))?;
    let mut muxer = Muxer::open(copy, container, &planned, &task.output, seconds(origin), packets)?;
    for (i, track) in tracks.iter_mut().enumerate() {
        track.discards = container.index.discards_samples();
        track.begin(muxer.clock(i), origin)?;
    }
    let mut written = 0;
    while let Some(next) = earliest(tracks)? {
        if !tracks.iter().all(|track| track.clean) {
            return Ok(None);
        }
        if let Some(packet) = tracks[next].ready.pop_front() {
            muxer.write(next, packet)?;
            written += i64::from(tracks[next].header.video.is_some());
            reporter.progress(0, written);
        }
    }
    if let Some(indistinct) = tracks.iter().find_map(|track| track.indistinct_times(container)) {
        return Err(indistinct);
    }
    let ticks = muxer.movie_ticks();
    for (i, track) in tracks.iter().enumerate() {
        muxer.end_track(i, track.codec, &track.header.extradata, track.units)?;
    }
    let read = muxer.finish()?;
    if let Some(ticks) = ticks {
        let movie = Clock { num: 1, den: ticks };
        // A cover is no track, but lies in the header.
        let in_movie = tracks.iter().filter(|track| !mux::is_cover(&track.header)).enumerate();
        let edits = in_movie.filter_map(|(i, track)| Some((i, track.edits(movie)?)));
        mux::write_edits(output, &edits.collect::<Vec<_>>())?;
    }
    Ok(Some(WrittenFile { ticks: ticks.unwrap_or(0), read }))
}

/// After so many rounds a track whose seams are still not clean is made in one.
const ROUNDS: i32 = 2;

/// The segments that are to be made again; where there are some, all tracks are read to their ends.
fn unclean(
    tracks: &mut [Track],
    round: i32,
    reporter: &mut Reporter,
) -> Result<Vec<UncleanSegments>, Failure> {
    if tracks.iter().all(|track| track.clean) {
        return Ok(Vec::new());
    }
    let mut again = Vec::new();
    for track in tracks {
        while !track.ended {
            track.read()?;
            reporter.progress(0, 0);
        }
        let (order, joints) = (track.sum.plan.indices(), &track.joints);
        let mut runs = seams::unclean_runs(joints);
        // Sound is cheap, and which part of it was decoded rightly is not known.
        if !runs.is_empty() && (round >= ROUNDS || track.header.audio.is_some()) {
            runs = vec![SegmentRun { first: 0, last: joints.len() - 1 }];
        }
        for SegmentRun { first, last } in runs {
            let before = first.checked_sub(1).and_then(|before| joints.get(before));
            again.push(UncleanSegments {
                rendition: track.sum.plan.rendition.clone(),
                replaces: order.get(first..=last).unwrap_or_default().to_vec(),
                start: joints[first].decoded.start.filter(|_| first > 0),
                end: joints[last].decoded.end,
                seeks: before.and_then(|before| before.decoded.from).into_iter().collect(),
            });
        }
    }
    Ok(again)
}

/// Returns all segments of a track, each to be made again by itself.
fn each_again(track: &Track) -> Vec<UncleanSegments> {
    let order = track.sum.plan.indices();
    let segments = order.iter().zip(&track.joints).enumerate();
    let again = segments.map(|(position, (index, joint))| {
        let Decoded { start, end, from, planned, .. } = joint.decoded;
        UncleanSegments {
            rendition: track.sum.plan.rendition.clone(),
            replaces: vec![*index],
            start: start.filter(|_| position > 0),
            end,
            // Several segments may have been read from one point, long before the last of them.
            seeks: planned.into_iter().chain(from.filter(|from| Some(*from) != planned)).collect(),
        }
    });
    again.collect()
}

/// Time zero of the output: the earliest start of its tracks; where the container can't say what comes before it, of their first
/// packets, so that no time that it states is negative.
fn origin(tracks: &[Track], container: &Container) -> Option<(i64, Clock)> {
    tracks
        .iter()
        // What lies beside begins when it begins.
        .filter(|track| track.header.side.is_none())
        .filter_map(|track| {
            let first = track.first?;
            let decoded = track.header.video.is_some() && !container.index.has_decoding_times();
            Some(match container.priming {
                Priming::Heard if !decoded => track.before(first),
                Priming::Signalled | Priming::Heard => (first, track.clock),
            })
        })
        .min_by(|a, b| compare(*a, *b))
}

/// The track whose next packet decodes first; `None` once all are written.
fn earliest(tracks: &mut [Track]) -> Result<Option<usize>, Failure> {
    for track in &mut *tracks {
        track.fill()?;
    }
    let next = |track: &Track| track.ready.front().map(|packet| (packet.dts, track.out));
    Ok((0..tracks.len())
        .filter_map(|i| next(&tracks[i]).map(|at| (i, at)))
        .min_by(|a, b| compare(a.1, b.1))
        .map(|(i, _)| i))
}
