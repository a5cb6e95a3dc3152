//! Names: texts of which many are equal, each kept once.

use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
pub struct Names {
    ids: HashMap<Arc<str>, Name>,
    texts: Vec<Arc<str>>,
}

/// Stands for a text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Name(u32);

impl Names {
    /// The name for `text`, and how many bytes of memory it takes that were not taken before.
    pub fn name(&mut self, text: &str) -> (Name, usize) {
        if let Some(name) = self.ids.get(text) {
            return (*name, 0);
        }
        let (text, name): (Arc<str>, _) = (text.into(), Name(self.texts.len() as u32));
        self.ids.insert(text.clone(), name);
        self.texts.push(text.clone());
        (name, text.len() + 80)
    }

    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).map_or("", |text| text)
    }
}
