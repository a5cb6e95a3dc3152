//! Input: items from a file or a pipe: one a line, or each with its length before it.

use std::io::{self, BufRead, Read};

/// What is read from.
pub type Reader = Box<dyn BufRead>;

/// One item as it was read, or why it is none.
pub type Found = Result<Vec<u8>, String>;

/// Items in a row, and where the last one was.
pub trait Input {
    /// The next item; `None` at the end. An error: it can't be read on.
    fn next(&mut self) -> io::Result<Option<Found>>;

    /// Where the last item begins: the line from 1, or the offset.
    fn place(&self) -> Place;
}

/// Where in the input an item begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Counted from 1.
    Line(u64),
    /// The byte, from 0, with the length that comes before it.
    Byte(u64),
}

impl Place {
    /// As it comes after the name of the input.
    pub fn after(self, source: &str) -> String {
        match self {
            Self::Line(line) => format!("{source}:{line}"),
            Self::Byte(byte) => format!("{source}: at byte {byte}"),
        }
    }
}

/// The lines that are not empty. Of a line that is too long, only so much is kept as shows that.
pub struct Lines {
    reader: Reader,
    number: u64,
    max_item_bytes: usize,
    /// How many times as long as an item its line may be.
    times: u64,
}

impl Lines {
    pub fn new(reader: Reader, max_item_bytes: usize, times: u64) -> Self {
        Self { reader, number: 0, max_item_bytes, times }
    }

    fn too_long(&self, bytes: u64) -> String {
        let times = if self.times == 1 { String::new() } else { format!("{} times ", self.times) };
        format!("line of {bytes} bytes is over {times}max_item_bytes={}", self.max_item_bytes)
    }
}

impl Input for Lines {
    fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            let mut line = Vec::new();
            // One byte more than the longest line, and its end.
            let kept = (self.max_item_bytes as u64).saturating_mul(self.times).saturating_add(2);
            if self.reader.by_ref().take(kept).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 == kept {
                let skipped = self.reader.skip_until(b'\n')? as u64;
                return Ok(Some(Err(self.too_long(kept + skipped))));
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(Ok(line)));
            }
        }
    }

    fn place(&self) -> Place {
        Place::Line(self.number)
    }
}

/// Items with their length in bytes before them, as a varint. Empty ones are passed over.
pub struct Delimited {
    reader: Reader,
    /// Where the last item begins, and what comes after it.
    begin: u64,
    end: u64,
    max_item_bytes: usize,
}

impl Delimited {
    pub fn new(reader: Reader, max_item_bytes: usize) -> Self {
        Self { reader, begin: 0, end: 0, max_item_bytes }
    }

    /// The length that comes next; `None` at the end.
    fn length(&mut self) -> io::Result<Option<Result<u64, &'static str>>> {
        let mut length = 0;
        for i in 0..10 {
            let Some(byte) = self.reader.by_ref().bytes().next().transpose()? else {
                return Ok((i > 0).then_some(Err("it breaks off within a length")));
            };
            self.end += 1;
            length |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok(Some(Ok(length)));
            }
        }
        Ok(Some(Err("this is no length")))
    }

    /// Skips the rest of the input: after a length that can't be right, the start of the next item is unknown.
    fn give_up(&mut self, why: String) -> io::Result<Option<Found>> {
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(Some(Err(format!("{why}; nothing after it was read"))))
    }
}

impl Input for Delimited {
    fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            self.begin = self.end;
            let length = match self.length()? {
                None => return Ok(None),
                Some(Ok(0)) => continue,
                Some(Ok(length)) => length,
                Some(Err(why)) => return self.give_up(why.into()),
            };
            let (mut item, most) = (Vec::new(), self.max_item_bytes as u64);
            let read = if length <= most {
                self.reader.by_ref().take(length).read_to_end(&mut item)? as u64
            } else {
                io::copy(&mut self.reader.by_ref().take(length), &mut io::sink())?
            };
            self.end = self.end.saturating_add(read);
            return Ok(Some(if read < length {
                Err(format!("its length is {length} bytes, of which {read} are there"))
            } else if length > most {
                Err(format!("item of {length} bytes is over max_item_bytes={most}"))
            } else {
                Ok(item)
            }));
        }
    }

    fn place(&self) -> Place {
        Place::Byte(self.begin)
    }
}
