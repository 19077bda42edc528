#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = (millrace_fuzz::SUBTITLES.check)(bytes);
});
