//! Source lines as small numbers: a file name and a line make a location.

use std::collections::HashMap;

use crate::exhausted::Exhausted;

/// A file name, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A line of a file, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocationId(pub u32);

/// Every file and line met so far.
///
/// File names are bytes: the host chooses the encoding and gets back what it
/// gave. Equal names are one file, so that two code objects of one file share
/// its lines. Names are copied; nothing refers to an object of the host.
#[derive(Debug, Default)]
pub struct Locations {
    files: Names,
    functions: Names,
    lines: Vec<Line>,
    ids: HashMap<(FileId, u32), LocationId>,
    /// The function named last: the next line is mostly in it, too.
    last_function: u32,
}

/// In `Line::function`: nobody has said.
const NO_FUNCTION: u32 = u32::MAX;

#[derive(Debug)]
struct Line {
    file: FileId,
    number: u32,
    function: u32,
}

/// Each name once, as a number.
#[derive(Debug, Default)]
struct Names {
    all: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, u32>,
    bytes: usize,
}

fn copy(name: &[u8]) -> Result<Box<[u8]>, Exhausted> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(name.len())?;
    bytes.extend_from_slice(name);
    Ok(bytes.into_boxed_slice())
}

impl Names {
    fn number(&mut self, name: &[u8]) -> Result<u32, Exhausted> {
        if let Some(&number) = self.numbers.get(name) {
            return Ok(number);
        }
        let number = u32::try_from(self.all.len()).map_err(|_| Exhausted)?;
        self.numbers.try_reserve(1)?;
        self.all.try_reserve(1)?;
        let (key, value) = (copy(name)?, copy(name)?);
        self.bytes += 2 * name.len();
        self.numbers.insert(key, number);
        self.all.push(value);
        Ok(number)
    }

    fn get(&self, number: u32) -> Option<&[u8]> {
        self.all.get(number as usize).map(|name| &**name)
    }

    fn memory(&self) -> usize {
        self.bytes
            + self.all.capacity() * size_of::<Box<[u8]>>()
            + self.numbers.capacity() * size_of::<(Box<[u8]>, u32)>()
    }
}

impl Locations {
    /// The number of a file name, new or known.
    pub fn file(&mut self, name: &[u8]) -> Result<FileId, Exhausted> {
        self.files.number(name).map(FileId)
    }

    /// The number of a line of a file, new or known.
    pub fn location(&mut self, file: FileId, line: u32) -> Result<LocationId, Exhausted> {
        if let Some(&location) = self.ids.get(&(file, line)) {
            return Ok(location);
        }
        let location = LocationId(u32::try_from(self.lines.len()).map_err(|_| Exhausted)?);
        // The last numbers stay free so that hosts can use them as marks.
        if location.0 >= u32::MAX - 16 {
            return Err(Exhausted);
        }
        self.ids.try_reserve(1)?;
        self.lines.try_reserve(1)?;
        self.ids.insert((file, line), location);
        self.lines.push(Line {
            file,
            number: line,
            function: NO_FUNCTION,
        });
        Ok(location)
    }

    /// The file and line behind a location of this table.
    pub fn resolve(&self, location: LocationId) -> (FileId, u32) {
        let line = &self.lines[location.0 as usize];
        (line.file, line.number)
    }

    /// Remember the function whose code stands at a location of this table. An attribute,
    /// not a part of the location: where two functions share a line, the first stays.
    pub fn set_function(&mut self, location: LocationId, name: &[u8]) -> Result<(), Exhausted> {
        let line = &mut self.lines[location.0 as usize];
        if line.function == NO_FUNCTION {
            if self.functions.get(self.last_function) != Some(name) {
                self.last_function = self.functions.number(name)?;
            }
            line.function = self.last_function;
        }
        Ok(())
    }

    /// The function at a location, if the host has said.
    pub fn function(&self, location: LocationId) -> Option<&[u8]> {
        let line = self.lines.get(location.0 as usize)?;
        self.functions.get(line.function)
    }

    /// The name of a file of this table.
    pub fn name(&self, file: FileId) -> &[u8] {
        &self.files.all[file.0 as usize]
    }

    /// How many files there are.
    pub fn file_count(&self) -> usize {
        self.files.all.len()
    }

    /// How many locations there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Is the table empty?
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        self.files.memory()
            + self.functions.memory()
            + self.lines.capacity() * size_of::<Line>()
            + self.ids.capacity() * size_of::<((FileId, u32), LocationId)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_are_one_location() {
        let mut locations = Locations::default();
        let a = locations.file(b"a.py").unwrap();
        let b = locations.file(b"b.py").unwrap();
        assert_ne!(a, b);
        assert_eq!(locations.file(b"a.py").unwrap(), a);
        let first = locations.location(a, 1).unwrap();
        let other = locations.location(b, 1).unwrap();
        assert_ne!(first, other);
        assert_eq!(locations.location(a, 1).unwrap(), first);
        assert_eq!(locations.resolve(other), (b, 1));
        assert_eq!(locations.name(b), b"b.py");
        assert_eq!((locations.len(), locations.file_count()), (2, 2));
        assert_eq!(locations.function(first), None);
        locations.set_function(first, b"f").unwrap();
        locations.set_function(first, b"g").unwrap();
        assert_eq!(locations.function(first), Some(&b"f"[..]));
        assert_eq!(locations.function(other), None);
        locations.set_function(other, b"g").unwrap();
        assert_eq!(locations.function(other), Some(&b"g"[..]));
        assert_eq!(locations.function(first), Some(&b"f"[..]));
        assert!(!locations.is_empty() && locations.memory() > 0);
    }
}
