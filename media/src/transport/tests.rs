use super::{sections::checksum, *};

/// Writes packets, each with the next number of its identifier.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    counters: HashMap<u16, u8>,
}

const MAP: u16 = 0x1000;
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;

impl Stream {
    fn packet(&mut self, pid: u16, begins: bool, adaptation: &[u8], payload: &[u8]) {
        let counter = self.counters.entry(pid).or_insert(15);
        *counter = (*counter + 1) & 15;
        let stuffing = PACKET - 5 - adaptation.len() - payload.len();
        let high = u8::from(begins) << 6 | (pid >> 8) as u8;
        self.bytes.extend([SYNC, high, pid as u8, 0x30 | *counter, (PACKET - 5 - payload.len()) as u8]);
        self.bytes.extend_from_slice(adaptation);
        self.bytes.extend(std::iter::repeat_n(0xff, stuffing));
        self.bytes.extend_from_slice(payload);
    }

    fn section(&mut self, pid: u16, table: u8, body: &[u8]) {
        let length = body.len() + 4;
        let mut section = vec![table, 0xb0 | (length >> 8) as u8, length as u8];
        section.extend_from_slice(body);
        section.extend(checksum(&section).to_be_bytes());
        self.packet(pid, true, &[0], &[&[0][..], &section].concat());
    }

    /// The tables of a program of pictures, and of sound in German.
    fn tables(&mut self) {
        self.section(0, 0, &[0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0]);
        let service = [&[0x48, 7, 1, 2, b'm', b'e', 2, b'x', b'y'][..]].concat();
        let head = [0, 1, 0xc1, 0, 0, 0xff, 1, 0xff, 0, 1, 0xfc, 0x80, service.len() as u8];
        self.section(0x11, 0x42, &[&head[..], &service].concat());
        let tracks = [
            &[0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0][..],
            &[0x1b, 0xe1, 0, 0xf0, 0],
            &[0x0f, 0xe1, 1, 0xf0, 6, 0x0a, 4, b'd', b'e', b'u', 0],
        ];
        self.section(MAP, 2, &tracks.concat());
    }

    fn picture(&mut self, pts: u64, dts: u64, is_entry: bool, clock: u64) {
        let mut adaptation = vec![0x10 | u8::from(is_entry) << 6];
        adaptation.extend(&(clock << 15 | 0x7e00).to_be_bytes()[2..]);
        let payload = [&[0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10][..], &time(3, pts), &time(1, dts), &[7; 9]];
        self.packet(VIDEO, true, &adaptation, &payload.concat());
    }

    fn sound(&mut self, pts: u64) {
        let payload = [&[0, 0, 1, 0xc0, 0, 20, 0x80, 0x80, 5][..], &time(2, pts), &[7; 9]];
        self.packet(AUDIO, true, &[0x40], &payload.concat());
    }

    fn read(&self, most: u64) -> Result<Transport, String> {
        transport(self.bytes.len() as u64, &self.bytes, most)
    }
}

fn time(prefix: u8, time: u64) -> [u8; 5] {
    let [a, b, c] = [time >> 30, time >> 15 & 0x7fff, time & 0x7fff];
    let [b, c] = [b << 1 | 1, c << 1 | 1].map(|part| (part as u16).to_be_bytes());
    [prefix << 4 | (a as u8) << 1 | 1, b[0], b[1], c[0], c[1]]
}

fn stream() -> Stream {
    let mut stream = Stream::default();
    stream.tables();
    stream.picture(9000, 5400, true, 100);
    stream.sound(6000);
    stream.tables();
    stream.packet(NOTHING, false, &[0], &[]);
    stream.picture(0x1_ffff_ffff, 9000, false, 3700);
    stream
}

#[test]
fn tracks_are_read_with_their_times_their_language_and_the_clock_in_front() {
    let read = stream().read(3).unwrap();
    assert_eq!(read.provider, "me");
    let unit = |pts, dts, is_entry, clock| Unit { pts, dts, is_entry, clock: Some(clock) };
    let pictures = vec![unit(9000, 5400, true, 100), unit(0x1_ffff_ffff, 9000, false, 3700)];
    let sound = vec![unit(6000, 6000, true, 100)];
    let expected =
        [Track { language: String::new(), units: pictures }, Track { language: "deu".into(), units: sound }];
    assert_eq!(read.tracks, expected);
}

#[test]
fn what_a_receiver_would_stumble_over_is_an_error() {
    let wrong = |change: fn(&mut Stream), says: &str| {
        let mut stream = stream();
        change(&mut stream);
        let error = stream.read(10).unwrap_err();
        assert!(error.contains(says), "{error} instead of {says}");
    };
    let missing = |stream: &mut Stream| {
        drop(stream.bytes.drain(5 * PACKET..6 * PACKET));
        stream.tables();
    };
    wrong(missing, "number 2 instead of 1 of identifier 0");
    wrong(|stream| stream.bytes[0] = 0x48, "no synchronization");
    wrong(|stream| stream.bytes[1] |= 0x80, "an error");
    wrong(|stream| stream.bytes[3] |= 0x80, "encryption");
    wrong(|stream| stream.bytes.truncate(stream.bytes.len() - 1), "187 bytes instead of 188");
    wrong(|stream| stream.bytes[3 * PACKET + 5] |= 0x80, "a discontinuity");
    wrong(|stream| stream.bytes[PACKET - 1] ^= 1, "a table that can't be read");
    wrong(|stream| stream.bytes[6 * PACKET - 1] ^= 1, "a table that changes");
    wrong(|stream| stream.picture(9000, 9000, false, 3700), "a clock reference that does not increase");
    wrong(|stream| stream.packet(0x105, true, &[0], &[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0]), "no time");
    wrong(|stream| stream.packet(AUDIO, true, &[0], &[0, 0, 2, 0xe0, 0, 0, 0x80, 0, 0]), "no start code");
    wrong(
        |stream| {
            stream.packet(
                0x105,
                true,
                &[0],
                &[&[0, 0, 1, 0xc0, 0, 0, 0x80, 0x80, 5][..], &[0x21; 5]].concat(),
            );
        },
        "does not name",
    );
    assert!(stream().read(2).unwrap_err().contains("more packets"));
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = stream().bytes;
    for at in 0..whole.len() {
        for bit in [1, 0x10, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            let _ = transport(changed.len() as u64, &changed, 10);
        }
        assert!(at % PACKET == 0 || transport(at as u64, &whole, 10).is_err());
    }
}
