//! Whose a file is on Windows: the owner that its security descriptor names.
//!
//! A process also acts for groups of its user, such as the administrators: what these own is no stranger's.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, GetNamedSecurityInfoW, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    CheckTokenMembership, EqualSid, GetTokenInformation, LookupAccountSidW, OWNER_SECURITY_INFORMATION, PSID,
    TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// Room for a user and the longest identifier, 68 bytes.
const USER_WORDS: usize = 16;

/// Room for the name of an account or of its domain, which have at most 256 characters.
const NAME_CHARS: usize = 257;

/// What the system has allocated for us.
struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: it comes from a function that says to free it so, or is null, which is nothing.
        unsafe { LocalFree(self.0) };
    }
}

pub(crate) fn foreign_owner(path: &Path) -> Option<(String, String)> {
    let wide: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let (mut owner, mut descriptor): (PSID, _) = (null_mut(), null_mut());
    // SAFETY: `wide` ends with a zero and outlives the call, as the two places do; the others may be null.
    let status = unsafe {
        GetNamedSecurityInfoW(
            wide.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    // `owner` points into it.
    let _descriptor = Local(descriptor);
    if status != 0 || owner.is_null() {
        return None;
    }
    // SAFETY: the system has just given it, and its descriptor lives until the end of this function.
    unsafe { if acts_for(owner) { None } else { Some((account(owner)?, of_user(|user| account(user))??)) } }
}

/// Whether this process is, or acts for, that account.
///
/// # Safety
/// `sid` is a valid identifier.
unsafe fn acts_for(sid: PSID) -> bool {
    let mut member = 0;
    // SAFETY: the caller's word for `sid`; without a token that of the process is asked.
    let told = unsafe { CheckTokenMembership(null_mut(), sid, &raw mut member) };
    // In doubt nobody is blamed. Wine counts groups only.
    // SAFETY: the caller's word for `sid`; the other one is valid meanwhile.
    told == 0 || member != 0 || of_user(|user| unsafe { EqualSid(user, sid) } != 0).unwrap_or(true)
}

/// The name of an account, or its identifier where nobody has that any more.
///
/// # Safety
/// `sid` is a valid identifier.
unsafe fn account(sid: PSID) -> Option<String> {
    let (mut name, mut domain) = ([0u16; NAME_CHARS], [0u16; NAME_CHARS]);
    let (mut name_chars, mut domain_chars, mut kind) = (NAME_CHARS as u32, NAME_CHARS as u32, 0);
    // SAFETY: the caller's word for `sid`; each place is as large as its length says.
    let found = unsafe {
        LookupAccountSidW(
            null(),
            sid,
            name.as_mut_ptr(),
            &raw mut name_chars,
            domain.as_mut_ptr(),
            &raw mut domain_chars,
            &raw mut kind,
        )
    };
    if found != 0 {
        let (name, domain) = (text(&name), text(&domain));
        return Some(if domain.is_empty() { name } else { format!("{domain}\\{name}") });
    }
    let mut written = null_mut();
    // SAFETY: the caller's word for `sid`; `written` is a place for a pointer.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut written) } == 0 {
        return None;
    }
    let written = Local(written.cast());
    let chars = written.0.cast::<u16>();
    // SAFETY: it ends with a zero.
    let count = (0..).take_while(|&at| unsafe { *chars.add(at) } != 0).count();
    // SAFETY: so many were just looked at.
    Some(String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(chars, count) }))
}

/// Asks for what concerns the user of this process, who is valid only meanwhile.
fn of_user<R>(ask: impl FnOnce(PSID) -> R) -> Option<R> {
    let mut token = null_mut();
    // SAFETY: the pseudo handle of the process is always valid; `token` is a place for a handle.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return None;
    }
    // SAFETY: it was just opened, and nobody else has it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    let (mut user, mut bytes) = ([0u64; USER_WORDS], 0);
    let (place, room) = (user.as_mut_ptr(), size_of_val(&user) as u32);
    // SAFETY: the place is as large as `room` says.
    let told =
        unsafe { GetTokenInformation(token.as_raw_handle(), TokenUser, place.cast(), room, &raw mut bytes) };
    // SAFETY: that is what was asked for; its identifier is in the place, too.
    (told != 0).then(|| ask(unsafe { &*place.cast::<TOKEN_USER>() }.User.Sid))
}

/// What stands before the first zero.
fn text(chars: &[u16]) -> String {
    let end = chars.iter().position(|&char| char == 0).unwrap_or(chars.len());
    String::from_utf16_lossy(&chars[..end])
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Security::{CreateWellKnownSid, WinAnonymousSid, WinWorldSid};

    use super::*;

    /// The identifier of an account that every system has, and what `ask` says of it.
    fn of_well_known<R>(kind: i32, ask: impl FnOnce(PSID) -> R) -> R {
        let mut sid = [0u64; 16];
        let mut bytes = size_of_val(&sid) as u32;
        // SAFETY: the place is as large as `bytes` says.
        let made = unsafe { CreateWellKnownSid(kind, null_mut(), sid.as_mut_ptr().cast(), &raw mut bytes) };
        assert_ne!(made, 0);
        ask(sid.as_mut_ptr().cast())
    }

    #[test]
    fn ones_own_file_and_that_of_ones_groups_are_no_strangers() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(foreign_owner(dir.path()), None);
        assert_eq!(foreign_owner(&dir.path().join("missing")), None);
        // SAFETY: they are valid.
        let acts_for = |kind| of_well_known(kind, |sid| unsafe { acts_for(sid) });
        assert!(acts_for(WinWorldSid));
        assert!(!acts_for(WinAnonymousSid));
    }

    #[test]
    fn accounts_have_names() {
        // SAFETY: it is valid.
        let name = of_well_known(WinAnonymousSid, |sid| unsafe { account(sid) }).unwrap();
        assert!(name.contains('\\'), "{name}");
        // SAFETY: it is valid.
        let user = of_user(|user| unsafe { account(user) }).flatten();
        assert!(user.as_ref().is_some_and(|name| name.contains('\\')), "{user:?}");
    }
}
