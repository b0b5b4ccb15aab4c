//! Requests: a command with its arguments, as bytes. Pure.

use modb_net::resp::{encode_request, push_f64, push_i64, push_u64};

/// Something that can be sent as one request: an array or a `Vec` of strings, or a [`Command`].
pub trait Request {
    /// Appends the request as it goes over the wire.
    fn encode(self, out: &mut Vec<u8>);
}

impl<I> Request for I
where
    I: IntoIterator<IntoIter: ExactSizeIterator, Item: AsRef<[u8]>>,
{
    fn encode(self, out: &mut Vec<u8>) {
        encode_request(out, self);
    }
}

/// A request whose arguments are of several types.
///
/// ```
/// use modb_client::Command;
///
/// let command = Command::new("SET").arg("key").arg(1.5).arg("PX").arg(100);
/// assert!(command.iter().eq([&b"SET"[..], b"key", b"1.5", b"PX", b"100"]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// All arguments, one behind the other.
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Command {
    /// A request that begins with `name`.
    pub fn new(name: impl ToArg) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new() }.arg(name)
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl ToArg) -> Self {
        arg.write(&mut self.bytes);
        self.ends.push(self.bytes.len());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args(self, args: impl IntoIterator<Item = impl ToArg>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// The arguments, the name first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|index| {
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            &self.bytes[start..self.ends[index]]
        })
    }
}

impl Request for &Command {
    fn encode(self, out: &mut Vec<u8>) {
        encode_request(out, self.iter());
    }
}

impl Request for Command {
    fn encode(self, out: &mut Vec<u8>) {
        (&self).encode(out);
    }
}

/// Something that can be an argument of a [`Command`].
pub trait ToArg {
    /// Appends its bytes.
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! bytes_to_arg {
    ($($type:ty),*) => {$(
        impl ToArg for $type {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.as_ref());
            }
        }
    )*};
}

bytes_to_arg!(str, String, [u8], Vec<u8>);

macro_rules! number_to_arg {
    ($push:ident as $wide:ty: $($type:ty),*) => {$(
        impl ToArg for $type {
            fn write(&self, out: &mut Vec<u8>) {
                $push(out, *self as $wide);
            }
        }
    )*};
}

number_to_arg!(push_i64 as i64: i8, i16, i32, i64, isize);
number_to_arg!(push_u64 as u64: u8, u16, u32, u64, usize);
number_to_arg!(push_f64 as f64: f32, f64);

impl<T: ToArg + ?Sized> ToArg for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl<const N: usize> ToArg for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}
