//! Sections: one file for each question asked of the library.

pub mod backlog;
mod delivery;
mod enqueue;
mod footprint;
pub mod growth;
mod lanes;
mod limits;
pub mod memory;
mod otlp;
mod power;
mod rejected;
mod sustained;
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::Result;
use crate::sheet::Sheet;

/// One question, measured in a directory of its own.
pub struct Section {
    /// What the command line calls it.
    pub name: &'static str,
    run: fn(&mut Sheet, &Path) -> Result<()>,
}

/// All sections, in the order of a whole run.
pub const SECTIONS: [Section; 13] = [
    Section { name: "footprint", run: footprint::run },
    Section { name: "enqueue", run: enqueue::run },
    Section { name: "threads", run: threads::run },
    Section { name: "power", run: power::run },
    Section { name: "delivery", run: delivery::run },
    Section { name: "otlp", run: otlp::run },
    Section { name: "backlog", run: backlog::run },
    Section { name: "growth", run: growth::run },
    Section { name: "sustained", run: sustained::run },
    Section { name: "rejected", run: rejected::run },
    Section { name: "lanes", run: lanes::run },
    Section { name: "limits", run: limits::run },
    Section { name: "memory", run: memory::run },
];

impl Section {
    /// Measures and writes the pictures. Whatever stops the section is a row on its sheet and never stops the run.
    pub fn measure(&self) -> Sheet {
        println!("{}", self.name);
        let mut sheet = Sheet::new(self.name);
        let measured = catch_unwind(AssertUnwindSafe(|| self.run_in_scratch_dir(&mut sheet)));
        match measured {
            Ok(Ok(())) => {}
            Ok(Err(error)) => sheet.fail(error.to_string()),
            Err(_) => sheet.fail("it panicked"),
        }
        if let Err(error) = keep_pictures(&sheet) {
            sheet.fail(format!("cannot write its pictures: {error}"));
        }
        sheet
    }

    fn run_in_scratch_dir(&self, sheet: &mut Sheet) -> Result<()> {
        let dir = tempfile::Builder::new().prefix("spanspool-bench-").tempdir()?;
        (self.run)(sheet, dir.path())
    }
}

/// Puts the pictures where PERFORMANCE.md shows them from.
fn keep_pictures(sheet: &Sheet) -> Result<()> {
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("plots");
    std::fs::create_dir_all(&plots)?;
    for (file, svg) in sheet.pictures() {
        std::fs::write(plots.join(file), svg)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::count;
    use crate::report::markdown;
    use crate::sheet::Reach;

    fn measured_then(run: fn(&mut Sheet, &Path) -> Result<()>) -> String {
        let sheet = Section { name: "doomed", run }.measure();
        assert!(sheet.has_failed());
        markdown(&[sheet])
    }

    fn one_row(sheet: &mut Sheet) {
        sheet.ratio("measured before", count(1.0), count(2.0), 0.5, Reach::AtMost(1.0));
    }

    #[test]
    fn section_that_fails_keeps_its_rows_and_says_why() {
        let text = measured_then(|sheet, _| {
            one_row(sheet);
            Err("no room | none".into())
        });
        assert!(text.contains("| measured before | 1 | 2 | 0.50 | ≤ 1 | ✓ |\n"), "{text}");
        assert!(text.contains("| section doomed | failed: no room \\| none | | | | ✗ |\n"), "{text}");
    }

    #[test]
    fn section_that_panics_is_a_row_as_well() {
        let text = measured_then(|sheet, _| {
            one_row(sheet);
            let empty: [u8; 0] = [];
            let _ = empty[sheet.rows().len()];
            Ok(())
        });
        assert!(text.contains("measured before") && text.contains("failed: it panicked"), "{text}");
    }
}
