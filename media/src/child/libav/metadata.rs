//! Metadata of containers, streams and chapters, as text.

use std::ffi::{CStr, CString};

use ffmpeg_next::{
    self as ff,
    ffi::{AV_DICT_IGNORE_SUFFIX, AVDictionary, av_dict_get},
};

use crate::captions::decode_text;

/// All entries of a dictionary of libav's, as text.
fn entries(dictionary: *const AVDictionary) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut entry = std::ptr::null_mut();
    loop {
        // SAFETY: the dictionary is null or whole; keys and values are strings that end with a zero, read before the next
        // call.
        unsafe {
            entry = av_dict_get(dictionary, c"".as_ptr(), entry, AV_DICT_IGNORE_SUFFIX);
            if entry.is_null() {
                return all;
            }
            let text = |text| decode_text(CStr::from_ptr(text).to_bytes());
            all.push((text((*entry).key), text((*entry).value)));
        }
    }
}

fn value(dictionary: *const AVDictionary, key: &str) -> Option<String> {
    let key = CString::new(key).ok()?;
    // SAFETY: the dictionary is null or whole; the value is a string that ends with a zero.
    unsafe {
        let entry = av_dict_get(dictionary, key.as_ptr(), std::ptr::null_mut(), 0);
        (!entry.is_null()).then(|| decode_text(CStr::from_ptr((*entry).value).to_bytes()))
    }
}

/// Returns all entries of a container's metadata; those of its only stream, if it has none of its own, as in Ogg.
pub(crate) fn of_input_all(input: &ff::format::context::Input) -> Vec<(String, String)> {
    // SAFETY: the context is open.
    let own = entries(unsafe { (*input.as_ptr()).metadata });
    match input.stream(0).filter(|_| own.is_empty() && input.nb_streams() == 1) {
        // SAFETY: the stream is of an open context.
        Some(stream) => entries(unsafe { (*stream.as_ptr()).metadata }),
        None => own,
    }
}

/// Returns one entry of the metadata of a container's first program (service).
pub(crate) fn of_program(input: &ff::format::context::Input, key: &str) -> Option<String> {
    // SAFETY: the context is open; it has as many programs as it says, and none of them is null.
    unsafe {
        let context = &*input.as_ptr();
        (context.nb_programs > 0).then(|| value((**context.programs).metadata, key)).flatten()
    }
}

/// Returns one entry of a container's metadata.
pub(crate) fn of_input(input: &ff::format::context::Input, key: &str) -> Option<String> {
    // SAFETY: the context is open.
    value(unsafe { (*input.as_ptr()).metadata }, key)
}

/// Returns one entry of a stream's metadata.
pub(crate) fn of_stream(stream: &ff::Stream<'_>, key: &str) -> Option<String> {
    // SAFETY: the stream is of an open context.
    value(unsafe { (*stream.as_ptr()).metadata }, key)
}

/// Returns one entry of a chapter's metadata.
pub(crate) fn of_chapter(chapter: &ff::Chapter<'_>, key: &str) -> Option<String> {
    // SAFETY: the chapter is of an open context.
    value(unsafe { (*chapter.as_ptr()).metadata }, key)
}
