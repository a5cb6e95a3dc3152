//! Key file: an API key that no other user can read off the command line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::cli::outcome::Failure;

/// Any key is shorter; a longer file is something else.
const MAX_BYTES: u64 = 4096;

/// Reads the key in `path`, which holds nothing else but white space around it; `option` named it. No error repeats the
/// content.
pub fn read(option: &str, path: &Path) -> Result<String, Failure> {
    let refuse = |why: String| Failure::Usage(format!("option '{option}': {}: {why}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(refuse(format!("longer than {MAX_BYTES} bytes; it must hold one key and nothing else")));
    }
    match text.trim() {
        "" => Err(refuse("it is empty; it must hold one key".into())),
        key => Ok(key.to_owned()),
    }
}
