//! The pairs of video codec and container that FFmpeg 5.1 writes and reads, and a small video of each.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The number of pictures of each video.
pub const PICTURES: usize = 60;

/// A video encoder with its options.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    pub name: &'static str,
    /// The value of ffmpeg's option `-c:v`, then more options.
    options: &'static str,
    size: &'static str,
    pixels: &'static str,
    /// The names of the containers that hold it.
    containers: &'static str,
}

/// The structure of a container's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Asf,
    Avi,
    Flv,
    Ivf,
    Matroska,
    Mp4,
    Mxf,
    Ogg,
    RealMedia,
    Ts,
    /// Any other; its bytes are only changed blindly.
    Other,
}

/// A container.
#[derive(Debug)]
pub struct Container {
    pub name: &'static str,
    pub extension: &'static str,
    muxer: &'static str,
    /// The value of ffmpeg's option `-c:a`, then more options; empty for none.
    sound: &'static str,
    pub format: Format,
}

impl Container {
    /// Returns the options of ffmpeg that select its muxer.
    pub fn options(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once("-f").chain(self.muxer.split(' '))
    }
}

const fn container(
    name: &'static str,
    extension: &'static str,
    muxer: &'static str,
    format: Format,
    sound: &'static str,
) -> Container {
    Container { name, extension, muxer, sound, format }
}

const CONTAINERS: [Container; 45] = [
    container("mp4", "mp4", "mp4", Format::Mp4, "aac"),
    container("fragments", "mp4", "mp4 -movflags frag_keyframe+empty_moov", Format::Mp4, "aac"),
    container("faststart", "mp4", "mp4 -movflags faststart", Format::Mp4, "aac"),
    container("mov", "mov", "mov", Format::Mp4, "pcm_s16le"),
    container("3gp", "3gp", "3gp", Format::Mp4, "aac"),
    container("ismv", "ismv", "ismv", Format::Mp4, "aac"),
    container("f4v", "f4v", "f4v", Format::Mp4, "aac"),
    container("mkv", "mkv", "matroska", Format::Matroska, "libvorbis"),
    container("webm", "webm", "webm", Format::Matroska, "libopus"),
    container("avi", "avi", "avi", Format::Avi, "libmp3lame"),
    container("flv", "flv", "flv", Format::Flv, "aac"),
    container("ts", "ts", "mpegts", Format::Ts, "mp2"),
    container("m2ts", "m2ts", "mpegts -mpegts_m2ts_mode 1", Format::Ts, "ac3"),
    container("mpg", "mpg", "mpeg", Format::Other, "mp2"),
    container("vob", "vob", "vob", Format::Other, "ac3"),
    container("svcd", "mpg", "svcd", Format::Other, "mp2"),
    container("asf", "wmv", "asf", Format::Asf, "wmav2"),
    container("ogg", "ogv", "ogg", Format::Ogg, "libvorbis"),
    container("nut", "nut", "nut", Format::Other, "pcm_s16le"),
    container("mxf", "mxf", "mxf", Format::Mxf, "pcm_s16le"),
    container("opatom", "mxf", "mxf_opatom", Format::Mxf, ""),
    container("d10", "mxf", "mxf_d10", Format::Mxf, "pcm_s16le -ac 2"),
    container("gxf", "gxf", "gxf", Format::Other, "pcm_s16le -ac 1"),
    container("rm", "rm", "rm", Format::RealMedia, "ac3 -b:a 96k"),
    container("wtv", "wtv", "wtv", Format::Other, "mp2"),
    container("swf", "swf", "swf", Format::Other, "libmp3lame -ar 44100"),
    container("dv", "dv", "dv", Format::Other, "pcm_s16le -ac 2"),
    container("roq", "roq", "roq", Format::Other, "roq_dpcm -ar 22050"),
    container("cpk", "cpk", "film_cpk", Format::Other, "pcm_s16be_planar"),
    container("smjpeg", "mjpg", "smjpeg", Format::Other, "pcm_s16le"),
    container("amv", "amv", "amv", Format::Other, "adpcm_ima_amv -ar 22050 -ac 1 -block_size 882"),
    container("ivf", "ivf", "ivf", Format::Ivf, ""),
    container("gif", "gif", "gif", Format::Other, ""),
    container("apng", "apng", "apng", Format::Other, ""),
    container("y4m", "y4m", "yuv4mpegpipe", Format::Other, ""),
    container("h264", "h264", "h264", Format::Other, ""),
    container("hevc", "hevc", "hevc", Format::Other, ""),
    container("m4v", "m4v", "m4v", Format::Other, ""),
    container("m1v", "m1v", "mpeg1video", Format::Other, ""),
    container("m2v", "m2v", "mpeg2video", Format::Other, ""),
    container("h261", "h261", "h261", Format::Other, ""),
    container("h263", "h263", "h263", Format::Other, ""),
    container("mjpeg", "mjpeg", "mjpeg", Format::Other, ""),
    container("drc", "drc", "dirac", Format::Other, ""),
    container("obu", "obu", "obu", Format::Other, ""),
];

const fn encoding(
    name: &'static str,
    options: &'static str,
    pixels: &'static str,
    containers: &'static str,
) -> Encoding {
    Encoding { name, options, size: "128x96", pixels, containers }
}

const fn sized(size: &'static str, encoding: Encoding) -> Encoding {
    Encoding { size, ..encoding }
}

const H264: &str =
    "mp4 fragments faststart mov 3gp ismv f4v mkv avi flv ts m2ts mpg vob svcd asf nut mxf opatom wtv h264";
const HEVC: &str = "mp4 fragments faststart mov ismv mkv ts m2ts mpg vob svcd nut hevc";
const MPEG4: &str = "mp4 fragments faststart mov 3gp ismv mkv avi ts m2ts mpg vob svcd asf nut wtv m4v";
const MPEG1: &str = "mp4 fragments mov ismv mkv avi ts m2ts mpg vob svcd asf nut wtv m1v";
const MPEG2: &str = "mp4 fragments mov ismv mkv avi ts m2ts mpg vob svcd asf nut mxf opatom wtv m2v";
const TAGGED: &str = "mov mkv avi asf nut wtv";
const TAGGED_NO_WTV: &str = "mov mkv avi asf nut";
const AV1: &str = "mp4 fragments mkv webm avi asf nut wtv ivf obu";

/// Encodings with predicted pictures.
const INTER: [Encoding; 47] = [
    encoding("h264", "libx264 -preset veryfast -g 12 -bf 2", "yuv420p", H264),
    encoding(
        "h264-open",
        "libx264 -preset veryfast -x264-params open-gop=1:keyint=14:min-keyint=14:scenecut=0:bframes=4:b-adapt=0:b-pyramid=normal",
        "yuv420p",
        H264,
    ),
    encoding(
        "h264-refresh",
        "libx264 -preset veryfast -x264-params intra-refresh=1:keyint=15:bframes=0",
        "yuv420p",
        H264,
    ),
    encoding(
        "h264-long",
        "libx264 -preset medium -g 250 -refs 5 -x264-params b-pyramid=strict:bframes=5:b-adapt=0:scenecut=0",
        "yuv420p",
        H264,
    ),
    encoding(
        "h264-fields",
        "libx264 -preset veryfast -g 12 -flags +ildct+ilme -x264-params tff=1:open-gop=1",
        "yuv420p",
        H264,
    ),
    encoding("h264-live", "libx264 -preset ultrafast -tune zerolatency -g 10", "yuv420p", H264),
    encoding("h264-444", "libx264 -preset veryfast -g 12", "yuv444p", H264),
    encoding("h264-rgb", "libx264rgb -preset veryfast -g 12", "bgr0", "mp4 mov mkv avi flv ts nut"),
    encoding(
        "hevc",
        "libx265 -preset ultrafast -x265-params log-level=none:keyint=12:open-gop=0:pools=none",
        "yuv420p",
        HEVC,
    ),
    encoding(
        "hevc-open",
        "libx265 -preset ultrafast -x265-params log-level=none:keyint=14:min-keyint=14:scenecut=0:open-gop=1:bframes=4:b-pyramid=1:b-adapt=0:pools=none",
        "yuv420p",
        HEVC,
    ),
    encoding(
        "hevc-refresh",
        "libx265 -preset ultrafast -x265-params log-level=none:keyint=20:intra-refresh=1:bframes=0:pools=none",
        "yuv420p",
        HEVC,
    ),
    encoding("mpeg4", "mpeg4 -q:v 4 -bf 2 -g 12", "yuv420p", MPEG4),
    encoding("mpeg4-long", "mpeg4 -q:v 4 -g 250 -flags +qpel", "yuv420p", MPEG4),
    encoding("xvid", "libxvid -q:v 4 -bf 2 -g 12", "yuv420p", "mp4 mov 3gp mkv avi ts mpg asf nut m4v"),
    encoding("msmpeg4v2", "msmpeg4v2 -q:v 4 -g 12", "yuv420p", TAGGED),
    encoding("msmpeg4v3", "msmpeg4 -q:v 4 -g 12", "yuv420p", TAGGED),
    encoding("flv1", "flv -q:v 4 -g 12", "yuv420p", "mov mkv avi flv asf nut wtv swf"),
    encoding("wmv1", "wmv1 -q:v 4 -g 12", "yuv420p", TAGGED),
    encoding("wmv2", "wmv2 -q:v 4 -g 12", "yuv420p", TAGGED),
    encoding("rv10", "rv10 -q:v 4 -g 12", "yuv420p", "rm"),
    encoding("rv20", "rv20 -q:v 4 -g 12", "yuv420p", "rm"),
    encoding("h263", "h263 -q:v 4 -g 12", "yuv420p", "mov 3gp mkv avi asf nut wtv h263"),
    encoding("h263p", "h263p -q:v 4 -g 12", "yuv420p", TAGGED),
    sized("176x144", encoding("h261", "h261 -q:v 4 -g 12", "yuv420p", "mov mkv avi asf nut wtv h261")),
    encoding("svq1", "svq1 -q:v 4 -g 12", "yuv410p", TAGGED),
    encoding("mpeg1", "mpeg1video -q:v 4 -g 12 -bf 2", "yuv420p", MPEG1),
    encoding("mpeg2", "mpeg2video -q:v 4 -g 12 -bf 2", "yuv420p", MPEG2),
    encoding(
        "mpeg2-closed",
        "mpeg2video -q:v 4 -g 10 -bf 2 -flags +cgop -sc_threshold 1000000000",
        "yuv420p",
        MPEG2,
    ),
    encoding("mpeg2-long", "mpeg2video -q:v 4 -g 250 -bf 1", "yuv420p", MPEG2),
    sized(
        "720x576",
        encoding(
            "mpeg2-fields",
            "mpeg2video -q:v 5 -g 12 -bf 2 -flags +ildct+ilme -top 1",
            "yuv420p",
            "ts mpg vob mxf gxf mkv",
        ),
    ),
    encoding(
        "vp8",
        "libvpx -deadline good -cpu-used 5 -g 12 -b:v 600k",
        "yuv420p",
        "mkv webm avi asf ogg nut wtv ivf",
    ),
    encoding(
        "vp8-hidden",
        "libvpx -deadline good -cpu-used 5 -g 30 -b:v 600k -auto-alt-ref 1 -lag-in-frames 12",
        "yuv420p",
        "mkv webm ogg nut ivf",
    ),
    encoding(
        "vp9",
        "libvpx-vp9 -deadline good -cpu-used 5 -g 12 -b:v 600k",
        "yuv420p",
        "mp4 fragments mkv webm avi asf nut wtv ivf",
    ),
    encoding(
        "vp9-hidden",
        "libvpx-vp9 -deadline good -cpu-used 5 -g 30 -b:v 600k -auto-alt-ref 1 -lag-in-frames 16",
        "yuv420p",
        "mp4 mkv webm nut ivf",
    ),
    encoding("av1", "libaom-av1 -cpu-used 8 -usage realtime -g 12 -b:v 600k", "yuv420p", AV1),
    encoding("av1-rav1e", "librav1e -speed 10 -g 14", "yuv420p", AV1),
    encoding("theora", "libtheora -q:v 7 -g 12", "yuv420p", "mov mkv avi asf ogg nut"),
    encoding("ffv1-groups", "ffv1 -level 1 -g 12 -context 1 -coder 1", "yuv420p", TAGGED),
    encoding("cinepak", "cinepak -g 12", "rgb24", "mov mkv avi asf nut wtv cpk"),
    encoding("snow", "snow -strict -2 -q:v 4 -g 12", "yuv420p", TAGGED),
    encoding("zmbv", "zmbv -g 12", "bgr0", TAGGED),
    encoding("qtrle", "qtrle -g 12", "rgb24", "mov"),
    encoding("msvideo1", "msvideo1 -g 12", "rgb555le", TAGGED),
    encoding("rpza", "rpza -g 12", "rgb555le", TAGGED),
    encoding("flashsv", "flashsv -g 12", "bgr24", "mov mkv avi flv asf nut wtv swf"),
    encoding("flashsv2", "flashsv2 -g 12", "bgr24", "flv"),
    encoding("roq", "roqvideo", "yuvj444p", "roq"),
];

/// Encodings with intra pictures only.
const INTRA: [Encoding; 57] = [
    encoding("h264-intra", "libx264 -preset veryfast -g 1", "yuv420p", H264),
    encoding("mjpeg", "mjpeg -q:v 3", "yuvj420p", "mp4 fragments mov ismv mkv avi asf nut swf smjpeg mjpeg"),
    encoding("ljpeg", "ljpeg", "yuvj420p", "mov mkv avi asf nut wtv mjpeg"),
    encoding("jpegls", "jpegls", "rgb24", TAGGED),
    encoding("jpeg2000", "jpeg2000", "yuv420p", "mp4 fragments mov mkv avi asf nut mxf opatom wtv"),
    encoding("openjpeg", "libopenjpeg", "yuv420p", "mp4 mov mkv avi nut mxf"),
    encoding("amv", "amv -strict -1", "yuvj420p", "mov mkv avi asf nut wtv amv"),
    encoding("prores", "prores_ks", "yuv422p10le", "mov mkv avi nut"),
    sized("256x144", encoding("dnxhd", "dnxhd -profile:v dnxhr_lb", "yuv422p", "mov mkv avi nut mxf opatom")),
    sized("720x576", encoding("dvvideo", "dvvideo", "yuv420p", "mov mkv avi asf nut mxf opatom gxf wtv dv")),
    sized("720x576", encoding("mjpeg-pal", "mjpeg -q:v 4", "yuvj422p", "gxf")),
    sized(
        "720x576",
        encoding(
            "imx",
            "mpeg2video -r 25 -minrate 30000k -maxrate 30000k -b:v 30000k -g 1 -flags +ildct+low_delay -intra_vlc 1 -non_linear_quant 1 -ps 1 -qmin 1 -qmax 3 -dc 10 -bufsize 1200000 -rc_init_occupancy 1200000 -rc_max_vbv_use 1",
            "yuv422p",
            "d10",
        ),
    ),
    encoding("ffv1", "ffv1 -level 3 -g 1", "yuv420p", TAGGED_NO_WTV),
    encoding("cfhd", "cfhd", "yuv422p10le", TAGGED),
    encoding("vc2", "vc2", "yuv420p", "mp4 fragments mov mkv avi ts asf nut wtv drc"),
    encoding("huffyuv", "huffyuv", "yuv422p", TAGGED),
    encoding("ffvhuff", "ffvhuff", "yuv420p", TAGGED_NO_WTV),
    encoding("utvideo", "utvideo", "yuv420p", TAGGED_NO_WTV),
    encoding("magicyuv", "magicyuv", "yuv420p", TAGGED),
    encoding("smc", "smc", "pal8", "mov mkv"),
    encoding("png", "png", "rgb24", "mp4 fragments mov mkv avi asf nut wtv"),
    encoding("apng", "apng", "rgb24", "apng"),
    encoding("gif", "gif", "bgr8", "mov mkv nut gif"),
    encoding("asv1", "asv1", "yuv420p", TAGGED),
    encoding("asv2", "asv2", "yuv420p", TAGGED),
    sized("720x576", encoding("avui", "avui -strict -2", "uyvy422", "mov")),
    encoding("avrp", "avrp", "gbrp10le", "mov mkv"),
    encoding("ayuv", "ayuv", "ayuv64le", TAGGED),
    encoding("cljr", "cljr", "yuv411p", TAGGED),
    encoding("hap", "hap", "rgba", "mov mkv avi nut"),
    encoding("dpx", "dpx", "rgb24", TAGGED),
    encoding("exr", "exr", "gbrpf32le", "mov mkv"),
    encoding("tiff", "tiff", "rgb24", "mov mkv"),
    encoding("targa", "targa", "bgr24", TAGGED),
    encoding("sgi", "sgi", "rgb24", "mov mkv"),
    encoding("v210", "v210", "yuv422p10le", TAGGED),
    encoding("v308", "v308", "yuv444p", TAGGED),
    encoding("v408", "v408", "yuva444p", TAGGED),
    encoding("v410", "v410", "yuv444p10le", TAGGED),
    encoding("y41p", "y41p", "yuv411p", TAGGED),
    encoding("yuv4", "yuv4", "yuv420p", TAGGED),
    encoding("r10k", "r10k", "gbrp10le", TAGGED),
    encoding("r210", "r210", "gbrp10le", TAGGED),
    encoding("zlib", "zlib", "bgr24", TAGGED_NO_WTV),
    encoding("speedhq", "speedhq", "yuv420p", TAGGED),
    encoding("raw-yuv420p", "rawvideo", "yuv420p", "mkv avi asf nut"),
    encoding("raw-yuv422p", "rawvideo", "yuv422p", TAGGED_NO_WTV),
    encoding("raw-uyvy422", "rawvideo", "uyvy422", TAGGED_NO_WTV),
    encoding("raw-yuyv422", "rawvideo", "yuyv422", TAGGED_NO_WTV),
    encoding("raw-rgb24", "rawvideo", "rgb24", "mov avi nut cpk"),
    encoding("raw-bgr24", "rawvideo", "bgr24", "avi nut"),
    encoding("raw-pal8", "rawvideo", "pal8", "avi nut"),
    encoding("raw-gray", "rawvideo", "gray", TAGGED_NO_WTV),
    encoding("raw-yuv444p", "rawvideo", "yuv444p", "nut"),
    encoding("raw-rgb555", "rawvideo", "rgb555le", "avi nut"),
    encoding("raw-nv12", "rawvideo", "nv12", "mkv avi asf nut"),
    encoding("raw-y4m", "wrapped_avframe", "yuv420p", "y4m"),
];

/// A codec in a container.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub encoding: &'static Encoding,
    pub container: &'static Container,
}

fn pairs_of(encodings: &'static [Encoding]) -> Vec<Pair> {
    let of_encoding = |encoding: &'static Encoding| {
        let names = encoding.containers.split(' ');
        names.map(move |name| Pair {
            encoding,
            container: CONTAINERS.iter().find(|one| one.name == name).unwrap(),
        })
    };
    encodings.iter().flat_map(of_encoding).collect()
}

/// Returns all pairs.
pub fn pairs() -> Vec<Pair> {
    [pairs_of(&INTER), pairs_of(&INTRA)].concat()
}

/// Returns the pair of a seed. Three of four seeds have predicted pictures. Seeds that follow one another go through all pairs.
pub fn of_seed(seed: u64) -> Pair {
    // A prime, so that the steps reach every pair, and similar pairs are far from one another.
    const STEP: usize = 389;
    let seed = usize::try_from(seed).unwrap();
    let (encodings, turn) =
        if seed % 4 < 3 { (&INTER[..], seed / 4 * 3 + seed % 4) } else { (&INTRA[..], seed / 4) };
    let pairs = pairs_of(encodings);
    pairs[turn * STEP % pairs.len()]
}

impl Pair {
    /// Returns the intact video of this pair in `folder`, and encodes it if it is not there. It has sound if `with_sound` and the
    /// container holds any.
    ///
    /// # Errors
    ///
    /// The message of ffmpeg, if it does not write this pair.
    pub fn video(&self, folder: &Path, with_sound: bool) -> Result<PathBuf, String> {
        let (encoding, container) = (self.encoding, self.container);
        let silent = if with_sound { "" } else { "-silent" };
        let path =
            folder.join(format!("{}-{}{silent}.{}", encoding.name, container.name, container.extension));
        if path.exists() {
            return Ok(path);
        }
        // A third of the pairs have a frame rate whose timestamps are no whole milliseconds.
        let must_be_whole = encoding.size == "720x576" || ["roq", "amv"].contains(&container.name);
        let is_third = (encoding.name.len() + container.name.len()).is_multiple_of(3);
        let rate = if is_third && !must_be_whole { "30000/1001" } else { "25" };
        // It ends by itself: ffmpeg 7.1 waits for ever where pictures go on behind the sound's end, although enough are written.
        let seconds = PICTURES as f64 / 25.0 + 0.5;
        let mut graph = format!(
            "testsrc2=size={}:rate={rate}:duration={seconds},scroll=h=0.031:v=0.021[out0]",
            encoding.size
        );
        let has_sound = with_sound && !container.sound.is_empty();
        if has_sound {
            graph += ";aevalsrc=0.3*sin(2*PI*(300+60*t)*t)|0.3*sin(2*PI*(700-90*t)*t):s=48000:d=2.4[out1]";
        }
        // One input for both: ffmpeg reads several inputs in threads, whose order varies.
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y", "-f", "lavfi", "-i", &graph]);
        if has_sound {
            command.arg("-c:a").args(container.sound.split(' '));
        }
        command.args(["-frames:v", &PICTURES.to_string(), "-pix_fmt", encoding.pixels, "-c:v"]);
        command.args(encoding.options.split(' ')).arg("-bitexact");
        // Renamed when complete, so that another thread never reads a part of it.
        let thread = std::thread::current().id();
        let partial = folder.join(format!("partial-{thread:?}.{}", container.extension));
        let output = command.args(container.options()).arg(&partial).output().expect("ffmpeg");
        if !output.status.success() {
            // It may not exist.
            let _ = std::fs::remove_file(partial);
            return Err(format!(
                "{} in {}: {}",
                encoding.name,
                container.name,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        std::fs::rename(partial, &path).unwrap();
        Ok(path)
    }
}
