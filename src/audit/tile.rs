//! The C2SP `tlog-tiles` layout: paths, widths, and the bytes of hash tiles and entry bundles. Pure.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::merkle::{Hash, Node};

/// Hashes or entries in a full tile.
pub const TILE_WIDTH: u64 = 256;
/// The highest tile level that a log of less than 2^63 entries can have.
pub const TOP_LEVEL: u8 = 7;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Hashes of subtrees of 256^level entries; 0 to [`TOP_LEVEL`] exist here, the specification allows 63.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// A tile's name below the log's prefix: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TilePath {
    /// Hashes or entries.
    pub kind: TileKind,
    /// Its place within the level.
    pub index: u64,
    /// How many items a partial tile holds; `None` for a full one.
    pub partial: Option<NonZeroU8>,
}

/// Not a tile's name. Every tile has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a tile's path")]
pub struct TilePathError;

impl TilePath {
    /// The tile with items `256 * index` up to what a level of `available` items has of it; `None` when that is nothing.
    pub fn newest(kind: TileKind, index: u64, available: u64) -> Option<Self> {
        let width = available.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH);
        // 256 does not fit a byte and 0 is no width: what is left is a partial tile.
        match u8::try_from(width) {
            Ok(width) => NonZeroU8::new(width).map(|partial| Self { kind, index, partial: Some(partial) }),
            Err(_) => Some(Self { kind, index, partial: None }),
        }
    }

    /// How many hashes or entries it holds.
    pub fn width(&self) -> u16 {
        self.partial.map_or(256, |width| u16::from(width.get()))
    }

    /// The number of its first item within the level.
    pub fn first(&self) -> Option<u64> {
        self.index.checked_mul(TILE_WIDTH)
    }

    /// This tile's bytes from those of the full tile at its place.
    pub fn cut(&self, full: &[u8]) -> Option<Bytes> {
        let width = usize::from(self.width());
        match self.kind {
            TileKind::Hashes(_) => full.get(..width * 32).map(Bytes::copy_from_slice),
            TileKind::Entries => encode_entries(decode_entries(full, 256)?.into_iter().take(width)),
        }
    }

    /// Does a log of `size` entries have all its items?
    pub fn is_within(&self, size: u64) -> bool {
        let end = self.first().and_then(|first| first.checked_add(u64::from(self.width())));
        end.is_some_and(|end| end <= available(self.kind, size))
    }
}

/// How many items of a kind a log of `size` entries has.
pub fn available(kind: TileKind, size: u64) -> u64 {
    match kind {
        TileKind::Entries => size,
        TileKind::Hashes(level) => size.checked_shr(u32::from(level) * 8).unwrap_or(0),
    }
}

/// Where the hashes below a perfect subtree's root are stored: tile level, and the hashes of that level that it is
/// folded from.
pub fn place_of(node: Node) -> (u8, std::ops::Range<u64>) {
    let (level, above) = (node.height / 8, node.height % 8);
    (level, node.index << above..(node.index + 1) << above)
}

/// The bytes of a hash tile.
pub fn encode_hashes(hashes: &[Hash]) -> Bytes {
    Bytes::from(hashes.concat())
}

/// The hashes of a tile that must have `width`.
pub fn decode_hashes(tile: &[u8], width: u16) -> Option<Vec<Hash>> {
    let (hashes, rest) = tile.as_chunks::<32>();
    (rest.is_empty() && hashes.len() == usize::from(width)).then(|| hashes.to_vec())
}

/// The bytes of an entry bundle: for each entry a big-endian `uint16` length and the bytes. `None` when an entry is
/// over 65,535 bytes.
pub fn encode_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Bytes> {
    let mut bundle = BytesMut::new();
    for entry in entries {
        bundle.put_u16(u16::try_from(entry.len()).ok()?);
        bundle.put_slice(entry);
    }
    Some(bundle.freeze())
}

/// The entries of a bundle that must have `width`.
pub fn decode_entries(bundle: &[u8], width: u16) -> Option<Vec<&[u8]>> {
    let mut rest = bundle;
    let mut entries = Vec::with_capacity(usize::from(width));
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        rest = after;
    }
    (rest.is_empty() && entries.len() == usize::from(width)).then_some(entries)
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        write_number(f, self.index / 1000)?;
        write!(f, "{:03}", self.index % 1000)?;
        self.partial.map_or(Ok(()), |width| write!(f, ".p/{width}"))
    }
}

/// All groups of three digits but the last, each as `x123/`.
fn write_number(f: &mut fmt::Formatter<'_>, above: u64) -> fmt::Result {
    if above == 0 {
        return Ok(());
    }
    write_number(f, above / 1000)?;
    write!(f, "x{:03}/", above % 1000)
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        let path = parse(text).ok_or(TilePathError)?;
        // Leading zeros, `+1`, an `x000/` group, `.p/0`: printing again catches every second spelling at once.
        if path.to_string() == text { Ok(path) } else { Err(TilePathError) }
    }
}

fn parse(text: &str) -> Option<TilePath> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(level.parse().ok().filter(|level| *level <= 63)?),
    };
    let (number, partial) = match rest.split_once(".p/") {
        Some((number, width)) => (number, Some(width.parse().ok()?)),
        None => (rest, None),
    };
    let digits: String = number.chars().filter(|c| !matches!(c, 'x' | '/')).collect();
    Some(TilePath { kind, index: digits.parse().ok()?, partial })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_spellings_and_nonsense_are_refused() {
        for bad in [
            "tile/0/1",
            "tile/0/0001",
            "tile/0/x000/001",
            "tile/00/001",
            "tile/64/001",
            "tile/-1/001",
            "tile/0/+01",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/05",
            "tile/0/001.p/",
            "tile/0/001/",
            "/tile/0/001",
            "tile/data/001",
            "tile/0/x001/x234/67",
            "tile/0/001/067",
            "tile/0/x001",
            "tile/0/../001",
            "tile/0/",
            "tile/0/x999999999999999999999/001",
            "tile/entries/001.p/1.p/1",
            "",
            "checkpoint",
        ] {
            assert!(bad.parse::<TilePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let big = TilePath { kind: TileKind::Hashes(0), index: 1_234_067, partial: None };
        assert_eq!(big.to_string(), "tile/0/x001/x234/067");
        for good in ["tile/0/000", "tile/63/x001/000", "tile/entries/x001/x234/067.p/255"] {
            assert_eq!(good.parse::<TilePath>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn a_log_of_70000_entries_has_the_tiles_of_the_specification() {
        let newest = |level, index| {
            let kind = TileKind::Hashes(level);
            TilePath::newest(kind, index, available(kind, 70_000)).map(|path| path.to_string())
        };
        assert_eq!(newest(0, 272).as_deref(), Some("tile/0/272"));
        assert_eq!(newest(0, 273).as_deref(), Some("tile/0/273.p/112"));
        assert_eq!(newest(0, 274), None);
        assert_eq!(newest(1, 0).as_deref(), Some("tile/1/000"));
        assert_eq!(newest(1, 1).as_deref(), Some("tile/1/001.p/17"));
        assert_eq!(newest(2, 0).as_deref(), Some("tile/2/000.p/1"));
        assert_eq!(newest(3, 0), None);
    }

    #[test]
    fn only_what_the_log_has_is_within_it() {
        let within = |path: &str, size| path.parse::<TilePath>().unwrap().is_within(size);
        assert!(within("tile/0/000.p/5", 5) && !within("tile/0/000.p/6", 5) && !within("tile/0/000", 255));
        assert!(within("tile/0/000", 256) && within("tile/1/000.p/1", 256) && !within("tile/1/000.p/1", 255));
        assert!(!within("tile/63/000.p/1", u64::MAX));
        assert!(!within("tile/0/x018/x446/x744/x073/x709/x551/615", u64::MAX));
    }

    #[test]
    fn a_bundle_must_have_every_byte_it_announces_and_none_more() {
        let bundle = encode_entries([b"one".as_slice(), b"", b"three"]).unwrap();
        assert_eq!(decode_entries(&bundle, 3), Some(vec![b"one".as_slice(), b"", b"three"]));
        assert_eq!(decode_entries(&bundle, 2), None);
        assert_eq!(decode_entries(&bundle[..bundle.len() - 1], 3), None);
        assert_eq!(decode_entries(&[&bundle[..], &[0]].concat(), 3), None);
        assert!(encode_entries([vec![0; 65_536].as_slice()]).is_none());
    }
}
