//! A bundle's bytes: an archive of plain files, written in one way and read in memory.

use std::io::{self, Read as _};

use tar::{Archive, Builder, EntryType, Header};

use super::contents::{Contents, MOST_FILE_BYTES};
use super::{BundleFault, MOST_BYTES};

/// The signed note's name in the archive, and always its first file.
const NOTE: &str = "bundle.note";

/// The note, and every file in the order of paths, with nobody's name and no time on them: the same contents are the same
/// bytes.
pub(super) fn pack(note: &str, contents: &Contents) -> Result<Vec<u8>, BundleFault> {
    let mut builder = Builder::new(Vec::new());
    for (path, text) in std::iter::once((NOTE, note)).chain(contents.files()) {
        append(&mut builder, path, text).map_err(broken)?;
    }
    builder.into_inner().map_err(broken)
}

fn append(builder: &mut Builder<Vec<u8>>, path: &str, text: &str) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    builder.append(&header, text.as_bytes())
}

/// The note and the files. Raw entries: no extension of the format may rename, link or grow a file.
pub(super) fn unpack(bytes: &[u8]) -> Result<(String, Contents), BundleFault> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err(BundleFault::TooLarge);
    }
    let mut archive = Archive::new(bytes);
    let mut entries = archive.entries().map_err(broken)?.raw(true);
    let first = entries.next().ok_or_else(|| BundleFault::Archive("it is empty".to_owned()))?;
    let (name, note) = read(first.map_err(broken)?)?;
    if name != NOTE {
        let name = name.escape_default();
        return Err(BundleFault::Archive(format!(
            "it begins with `{name}`, not with `{NOTE}`: it is not signed"
        )));
    }
    let mut contents = Contents::default();
    for entry in entries {
        let (path, text) = read(entry.map_err(broken)?)?;
        contents.put(&path, text)?;
    }
    Ok((note, contents))
}

/// Path and text of a plain file.
fn read(mut entry: tar::Entry<'_, &[u8]>) -> Result<(String, String), BundleFault> {
    let header = entry.header();
    let path = String::from_utf8_lossy(&header.path_bytes()).into_owned();
    let refused = |why: &str| BundleFault::Archive(format!("`{}` {why}", path.escape_default()));
    if header.entry_type() != EntryType::Regular {
        return Err(refused("is no plain file"));
    }
    let size = header.entry_size().map_err(broken)?;
    if size > MOST_FILE_BYTES as u64 {
        return Err(refused("is larger than a file of a bundle may be"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() as u64 != size {
        return Err(refused("is cut off"));
    }
    let text = String::from_utf8(bytes).map_err(|_| refused("is no text in UTF-8"))?;
    Ok((path, text))
}

/// Not the library's words: they may quote bytes of the file.
#[expect(clippy::needless_pass_by_value, reason = "in the form that `map_err` wants")]
fn broken(error: io::Error) -> BundleFault {
    BundleFault::Archive(format!("the archive is broken ({:?})", error.kind()))
}
