//! The filters of libavfilter that renditions need, by the table of formats, in one graph: shared until renditions part.

use ffmpeg_next::{format::Pixel, frame};
use millrace_formats::filter::Graph;

use crate::child::{failure::Failure, libav::filters::FilterGraph};

/// A graph for pictures of one pixel format and size, with an output for each rendition.
pub(super) struct Filters {
    graph: FilterGraph,
    input: (Pixel, u32, u32),
    outputs: Vec<Graph>,
}

impl Filters {
    /// Builds a graph for pictures like this one, with these outputs.
    ///
    /// # Errors
    /// If this FFmpeg lacks a filter, or libavfilter refuses the picture.
    pub(super) fn build(picture: &frame::Video, outputs: Vec<Graph>, cores: usize) -> Result<Self, Failure> {
        let doing = "setting up the filters";
        let input = (picture.format(), picture.width(), picture.height());
        let mut needed: Vec<&str> = outputs.iter().flat_map(|graph| graph.needs.iter().copied()).collect();
        needed.sort_unstable();
        needed.dedup();
        let graph =
            FilterGraph::build(input, &description(&outputs), (outputs.len(), &needed), cores, doing)?;
        Ok(Self { graph, input, outputs })
    }

    /// Returns `true` if it was built for pictures like this one, and for these outputs.
    pub(super) fn fits(&self, picture: &frame::Video, outputs: &[Graph]) -> bool {
        self.input == (picture.format(), picture.width(), picture.height()) && self.outputs == outputs
    }

    /// Filters a picture for which [`Self::fits`] is true. Returns one picture for each output.
    ///
    /// # Errors
    /// What libavfilter says.
    pub(super) fn run(&mut self, picture: frame::Video) -> Result<Vec<frame::Video>, Failure> {
        let doing = "filtering a picture";
        self.graph.push(picture, doing)?;
        let held = || Failure::new(format!("{doing}: a filter held it back"));
        (0..self.outputs.len()).map(|output| self.graph.pull(output, doing)?.ok_or_else(held)).collect()
    }

    /// Ends the graph.
    ///
    /// # Errors
    /// If a picture is left in it.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let doing = "ending the filters";
        self.graph.flush(doing)?;
        for output in 0..self.outputs.len() {
            if self.graph.pull(output, doing)?.is_some() {
                return Err(Failure::new(format!("{doing}: a filter held a picture back")));
            }
        }
        Ok(())
    }
}

/// Returns the whole graph in libavfilter's language: the filters that all outputs begin with once, then split.
fn description(outputs: &[Graph]) -> String {
    if let [graph] = outputs {
        return format!("[in]{}[out0]", graph.description);
    }
    let chains: Vec<Vec<&str>> = outputs.iter().map(|graph| graph.description.split(',').collect()).collect();
    let shared = chains.first().map_or(0, |first| {
        let is_shared = |at: &usize| chains.iter().all(|chain| chain.get(*at) == first.get(*at));
        // Each output has a filter of its own, since a label must be behind one.
        let shortest = chains.iter().map(Vec::len).min().unwrap_or(0).saturating_sub(1);
        (0..shortest).take_while(is_shared).count()
    });
    let labels: String = (0..outputs.len()).map(|output| format!("[shared{output}]")).collect();
    let split = format!("split={}{labels}", outputs.len());
    let before: Vec<&str> = chains.first().map_or_else(Vec::new, |first| first[..shared].to_vec());
    let mut all =
        vec![format!("[in]{}", before.into_iter().chain([split.as_str()]).collect::<Vec<_>>().join(","))];
    let own = |(output, chain): (usize, &Vec<&str>)| {
        format!("[shared{output}]{}[out{output}]", chain[shared..].join(","))
    };
    all.extend(chains.iter().enumerate().map(own));
    all.join(";")
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::util::color;
    use millrace_formats::{TABLES, filter::Pictures};
    use millrace_schemas::Color;

    use super::*;
    use crate::child::libav::frame::{for_each_row, share};

    const PQ: Color = Color { primaries: 9, transfer: 16, matrix: 9, range: 1, chroma: 1 };
    const BT709: Color = Color { primaries: 1, transfer: 1, matrix: 1, range: 1, chroma: 1 };

    fn samples(picture: &frame::Video) -> Vec<u8> {
        let mut all = Vec::new();
        for_each_row(picture, |row| all.extend_from_slice(row));
        all
    }

    #[test]
    fn a_picture_is_mapped_once_for_all_sizes_and_the_same_as_for_each_alone() {
        let mut picture = frame::Video::new(Pixel::YUV420P10LE, 64, 48);
        picture.set_color_primaries(color::Primaries::BT2020);
        picture.set_color_transfer_characteristic(color::TransferCharacteristic::SMPTE2084);
        picture.set_color_space(color::Space::BT2020NCL);
        picture.set_color_range(color::Range::MPEG);
        for plane in 0..3 {
            let noise = |(i, pair): (usize, &mut [u8])| {
                pair.copy_from_slice(&(64 + (i * 37 % 800) as u16).to_le_bytes());
            };
            picture.data_mut(plane).chunks_exact_mut(2).enumerate().for_each(noise);
        }
        let map = |sizes: &[(u32, u32)]| -> Vec<Vec<u8>> {
            let graph = |size: &(u32, u32)| {
                TABLES.graph(&Pictures { from: PQ, to: BT709, size: *size, format: "yuv420p" }).unwrap()
            };
            let outputs: Vec<Graph> = sizes.iter().map(graph).collect();
            assert_eq!(description(&outputs).matches("tonemap=tonemap").count(), 1);
            let mut filters = Filters::build(&picture, outputs.clone(), 2).unwrap();
            assert!(filters.fits(&picture, &outputs));
            let mapped = filters.run(share(&picture).unwrap()).unwrap();
            assert!(filters.finish().is_ok());
            mapped.iter().map(samples).collect()
        };
        let both = map(&[(64, 48), (32, 24)]);
        assert_eq!(both, [map(&[(64, 48)]).remove(0), map(&[(32, 24)]).remove(0)]);
        assert_ne!(both[0], both[1]);
    }

    #[test]
    fn white_of_the_standard_range_is_203_candelas_in_high_range() {
        let mut picture = frame::Video::new(Pixel::YUV420P, 64, 48);
        picture.data_mut(0).fill(235);
        (1..3).for_each(|plane| picture.data_mut(plane).fill(128));
        // 58 % of PQ and 75 % of HLG (ITU-R BT.2408, table 1), of 876 steps above 64.
        for (transfer, expected) in [(16, 572_u16), (18, 721)] {
            let to = Color { transfer, ..PQ };
            let asked = Pictures { from: BT709, to, size: (64, 48), format: "yuv420p10le" };
            let mut filters = Filters::build(&picture, vec![TABLES.graph(&asked).unwrap()], 1).unwrap();
            let made = filters.run(share(&picture).unwrap()).unwrap().remove(0);
            assert_eq!(made.format(), Pixel::YUV420P10LE);
            let white = u16::from_le_bytes([made.data(0)[0], made.data(0)[1]]);
            assert!(white.abs_diff(expected) <= 2, "transfer {transfer}: {white} instead of {expected}");
            assert!(filters.finish().is_ok());
        }
    }

    #[test]
    fn a_filter_that_is_not_there_is_refused() {
        let frame = frame::Video::new(Pixel::YUV420P, 64, 48);
        let alone = Graph { description: "negate".into(), needs: vec!["negate"] };
        let refused = |graph: Graph| Filters::build(&frame, vec![graph], 1).err().map(|failure| failure.0);
        assert_eq!(refused(alone.clone()), None);
        let missing = refused(Graph { needs: vec!["no_such_filter"], ..alone });
        assert!(missing.is_some_and(|reason| reason.ends_with("this FFmpeg has no filter 'no_such_filter'")));
    }
}
