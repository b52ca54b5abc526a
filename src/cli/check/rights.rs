//! Whether a folder or file can be written to, found out without trying: `check` creates nothing. Where the
//! system does not tell, the answer is yes, and `sync` will say otherwise.

use std::path::Path;

/// Why `path` cannot be written to, if that is certain.
#[cfg(target_os = "linux")]
pub fn refusal(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let path = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if is_mounted_read_only(&mounts, &path) {
        return Some("is on a file system that is mounted read-only".to_owned());
    }
    let about = std::fs::metadata(&path).ok()?;
    let me = Identity::of_this_process()?;
    let allowed = me.may_write(about.mode(), about.uid(), about.gid());
    let mode = about.mode() & 0o7777;
    (!allowed).then(|| match about.uid() == me.user {
        true => format!("is read-only (mode {mode:04o})"),
        false => {
            format!(
                "belongs to user {} (mode {mode:04o}), and user {} may not write to it",
                about.uid(),
                me.user
            )
        }
    })
}

/// Why `path` cannot be written to, if that is certain.
#[cfg(not(target_os = "linux"))]
pub fn refusal(path: &Path) -> Option<String> {
    let about = std::fs::metadata(path).ok()?;
    about.permissions().readonly().then(|| "is read-only".to_owned())
}

/// The permission bits of a file that let others than its owner at it, if there are any.
#[cfg(unix)]
pub fn open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// The permission bits of a file that let others than its owner at it, if there are any.
#[cfg(not(unix))]
pub fn open_to_others(_path: &Path) -> Option<u32> {
    None
}

/// As whom this process writes.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Identity {
    user: u32,
    groups: Vec<u32>,
}

#[cfg(target_os = "linux")]
impl Identity {
    fn of_this_process() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        Identity::read(&status)
    }

    /// From `Uid:` and `Gid:` (real, effective, saved, file system) and `Groups:`.
    fn read(status: &str) -> Option<Self> {
        let numbers = |name: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let mut groups = numbers("Groups:");
        groups.extend(numbers("Gid:").get(3));
        Some(Identity { user: *numbers("Uid:").get(3)?, groups })
    }

    fn may_write(&self, mode: u32, owner: u32, group: u32) -> bool {
        let bit = match self {
            Identity { user: 0, .. } => return true,
            Identity { user, .. } if *user == owner => 0o200,
            Identity { groups, .. } if groups.contains(&group) => 0o020,
            Identity { .. } => 0o002,
        };
        mode & bit != 0
    }
}

/// The mount a path lies on is the one with the longest mount point; of two over one another, the later.
#[cfg(target_os = "linux")]
fn is_mounted_read_only(mountinfo: &str, path: &Path) -> bool {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        let point = fields.next()?.replace("\\040", " ");
        let options = fields.next()?.split(',').chain(source.rsplit(' ').next()?.split(','));
        let read_only = options.into_iter().any(|option| option == "ro");
        path.starts_with(&point).then_some((point.len(), read_only))
    });
    mounts.max_by_key(|(length, _)| *length).is_some_and(|(_, read_only)| read_only)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_bits_of_owner_group_and_others_count_in_this_order() {
        let me = Identity::read(
            "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t27 44 \n",
        )
        .unwrap();
        assert!(me.may_write(0o700, 1000, 5) && me.may_write(0o770, 0, 27) && me.may_write(0o070, 0, 100));
        assert!(!me.may_write(0o577, 1000, 27), "the owner's bits count for the owner");
        assert!(!me.may_write(0o755, 0, 0));
        assert!(Identity { user: 0, groups: Vec::new() }.may_write(0o500, 1, 1));
    }

    #[test]
    fn a_read_only_root_does_not_make_the_volume_in_it_read_only() {
        let mounts = "22 1 0:20 / / ro,relatime - overlay overlay rw,lowerdir=/x\n\
                      23 22 8:1 / /data rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      24 22 8:2 / /my\\040disk rw - ext4 /dev/sdb1 ro,errors=remount-ro\n";
        assert!(is_mounted_read_only(mounts, Path::new("/app")));
        assert!(!is_mounted_read_only(mounts, Path::new("/data/mirrors")));
        assert!(is_mounted_read_only(mounts, Path::new("/my disk")));
        assert!(
            is_mounted_read_only(mounts, Path::new("/database")),
            "a prefix of a name is no folder above it"
        );
    }
}
