//! The file system that a SQLite database lies on. The log that is written ahead needs memory that all who use the file
//! share, so it is for disks of this machine; elsewhere SQLite has its older journal
//! (<https://www.sqlite.org/wal.html>).

use std::path::Path;

/// How commits to a file are made durable: the statement that says so. The mode is kept in the file.
pub(super) fn journal_mode(file: &Path) -> &'static str {
    match shared_by(file) {
        None => "pragma journal_mode = wal",
        Some(_) => "pragma journal_mode = delete",
    }
}

/// The name of the file system, where it is one that other machines may see as well.
pub fn shared_by(file: &Path) -> Option<&'static str> {
    // The file may be a link, or mounted by itself.
    name_of_shared(kind(file).or_else(|| kind(folder_of(file)))?)
}

/// The folder of a file.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The number by which the system knows the kind of a file system.
#[cfg(target_os = "linux")]
fn kind(path: &Path) -> Option<u32> {
    // Its type differs between processors, its low half does not.
    rustix::fs::statfs(path).ok().map(|about| about.f_type as u32)
}

/// Other systems have no such numbers.
#[cfg(not(target_os = "linux"))]
fn kind(_path: &Path) -> Option<u32> {
    None
}

/// Numbers of `linux/magic.h` and of the file systems' own sources.
fn name_of_shared(kind: u32) -> Option<&'static str> {
    Some(match kind {
        0x0000_6969 => "NFS",
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9p",
        // Folders of the host in a virtual machine (virtiofs), such as Docker Desktop's, are known by this as well.
        0x6573_5546 => "FUSE",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x786f_4256 => "VirtualBox",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_machines_may_see_is_told_from_a_disk() {
        for (kind, name) in
            [(0x6969, Some("NFS")), (0x6573_5546, Some("FUSE")), (0xef53, None), (0x5846_5342, None)]
        {
            assert_eq!(name_of_shared(kind), name, "{kind:x}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_has_a_kind_and_a_missing_one_has_none() {
        assert!(kind(Path::new("/")).is_some());
        assert_eq!(kind(Path::new("/there/is/none")), None);
    }
}
