//! What outputs can be made of: tables of codecs, containers and filters, which the planner, the encoders, the muxer and the
//! proof all read. Pure: no libav, no I/O. Names are libav's where it has one.
//!
//! An entry is a file in `codec/`, `container/` or `filter/`, and its name in the list of [`codec`], [`container`] or
//! [`filter`].

use millrace_schemas::Rendition;

/// Declares the modules of a table, and the table of their entries: a line for each.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident: $entry:ty { $($module:ident),+ $(,)? }) => {
        $(pub(crate) mod $module;)+

        $(#[$doc])*
        pub static $table: &[$entry] = &[$($module::ENTRY),+];
    };
}

pub mod ask;
pub mod asset;
pub mod bit_rate;
mod bits;
pub mod codec;
mod color;
pub mod container;
mod drawing;
pub mod filter;
pub mod grid;
pub mod image;
pub mod instants;
mod intermediate;
mod layouts;
mod pcm;
pub mod picture;
mod pixels;
#[cfg(feature = "planted")]
pub mod planted;
mod quality;
pub mod rate;
mod sets;
pub mod slices;
mod sound;
pub mod temporal;
pub mod ticks;
mod units;
pub mod waveform;

pub use ask::{AudioAsk, PixelAsk, VideoAsk};
pub use codec::{CODECS, Codec, Seams, Splice};
pub use color::is_high_range;
pub use container::{CONTAINERS, Container};
pub use filter::{FILTERS, Filter};
pub use intermediate::INTERMEDIATES;
pub use pixels::Pixels;

/// The three tables.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// The codecs that outputs hold.
    pub codecs: &'static [&'static dyn Codec],
    /// The formats that can be asked for. The first is made where none is named.
    pub containers: &'static [&'static Container],
    /// What is done to pictures between decoder and encoder, in this order.
    pub filters: &'static [&'static dyn Filter],
}

/// The tables of this program.
pub static TABLES: Tables = Tables { codecs: CODECS, containers: CONTAINERS, filters: FILTERS };

impl Tables {
    /// Returns the codec of this name, which is libavcodec's: also one that no output holds.
    ///
    /// # Errors
    /// If there is none: the text lists the known ones.
    pub fn codec(&self, name: &str) -> Result<&'static dyn Codec, String> {
        let found = self.codecs.iter().chain(INTERMEDIATES).copied().find(|codec| codec.name() == name);
        found.ok_or_else(|| {
            let known: Vec<_> = self.codecs.iter().map(|codec| codec.name()).collect();
            format!("unknown codec '{name}'; known codecs: {}", known.join(", "))
        })
    }

    /// Returns the container of this name.
    ///
    /// # Errors
    /// If there is none: the text lists the known ones.
    pub fn container(&self, name: &str) -> Result<&'static Container, String> {
        let found = self.containers.iter().copied().find(|container| container.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = self.containers.iter().map(|container| container.name).collect();
            format!("unknown format '{name}'; known formats: {}", known.join(", "))
        })
    }

    /// Returns the container whose files libavformat's demuxer of this name reads; `None` if none is made that it reads.
    #[must_use]
    pub fn container_of_demuxer(&self, demuxer: &str) -> Option<&'static Container> {
        self.containers.iter().copied().find(|container| container.demuxer == demuxer)
    }

    /// Returns the container of a file that libavformat's demuxer of this name reads, and that has pictures or not; of several
    /// the first, and one that holds pictures exactly if the file has some, if there is one. `None` if none is made that it reads.
    #[must_use]
    pub fn container_of_file(&self, demuxer: &str, pictures: bool) -> Option<&'static Container> {
        let mut read = self.containers.iter().copied().filter(|container| container.demuxer == demuxer);
        let fits = |container: &&Container| (container.video.most > 0) == pictures;
        read.clone().find(fits).or_else(|| read.next())
    }

    /// Returns how segments of a rendition are joined; `None` if its codec has no entry.
    #[must_use]
    pub fn seams(&self, rendition: &Rendition) -> Option<Seams> {
        let video = rendition.video.as_ref().map(|video| &video.codec);
        let audio = rendition.audio.as_ref().map(|audio| &audio.codec);
        let side = rendition.side.as_ref().map(|side| &side.codec);
        Some(self.codec(video.or(audio).or(side)?).ok()?.seams())
    }

    /// Returns the filters that make these pictures what is asked for, as one graph; `None` if they need none.
    #[must_use]
    pub fn graph(&self, pictures: &filter::Pictures) -> Option<filter::Graph> {
        filter::graph(self.filters, pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_with_those_that_are_known() {
        let format = TABLES.container("mp5").unwrap_err();
        assert!(format.starts_with("unknown format 'mp5'; known formats: mp4, flv"), "{format}");
        let codec = TABLES.codec("h265").unwrap_err();
        assert!(codec.starts_with("unknown codec 'h265'; known codecs: h264, "), "{codec}");
        assert!(TABLES.container("flv").is_ok() && TABLES.codec("aac").is_ok());
        assert!(TABLES.container_of_demuxer("mpeg").is_none());
    }

    #[test]
    fn no_name_stands_for_two_entries_of_a_table_and_containers_hold_known_codecs() {
        for mut names in [
            CODECS.iter().map(|codec| codec.name()).collect::<Vec<_>>(),
            CONTAINERS.iter().map(|container| container.name).collect(),
            FILTERS.iter().map(|filter| filter.name()).collect(),
        ] {
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
        for container in CONTAINERS {
            for codec in container.codecs() {
                assert!(TABLES.codec(codec.name()).is_ok(), "{} holds {}", container.name, codec.name());
            }
        }
    }
}
