// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two keys of a run: the guest's and ours. They never leave the machine and are worth nothing after the run.
//!
//! Formats: OpenSSH's `PROTOCOL.key` for ours; for the guest's, what dropbear's `buf_put_ed25519_priv_key` writes.

use openssl::{
    base64,
    error::ErrorStack,
    pkey::{PKey, Private},
};

const KIND: &[u8] = b"ssh-ed25519";

/// Key material could not be made.
#[derive(Debug, thiserror::Error)]
#[error("making an ed25519 key")]
pub struct KeyError(#[from] ErrorStack);

/// What a guest and its caller need to know each other.
#[derive(Debug, Clone)]
pub struct SshKeys {
    host: PKey<Private>,
    client: PKey<Private>,
}

impl SshKeys {
    /// A new pair for the guest and a new pair for us.
    ///
    /// # Errors
    /// The host has no randomness to give.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self {
            host: PKey::generate_ed25519()?,
            client: PKey::generate_ed25519()?,
        })
    }

    /// The guest's host key as dropbear keeps it in a file.
    ///
    /// # Errors
    /// OpenSSL does not give the key away.
    pub fn dropbear_host_key(&self) -> Result<Vec<u8>, KeyError> {
        let mut out = Vec::new();
        string(&mut out, KIND);
        string(&mut out, &both_halves(&self.host)?);
        Ok(out)
    }

    /// The guest's public key in the SSH wire format: what libssh2's `hostkey()` must return.
    ///
    /// # Errors
    /// OpenSSL does not give the key away.
    pub fn host_public(&self) -> Result<Vec<u8>, KeyError> {
        Ok(public(&self.host)?)
    }

    /// The line for `authorized_keys` that lets us in.
    ///
    /// # Errors
    /// OpenSSL does not give the key away.
    pub fn authorized_key(&self) -> Result<String, KeyError> {
        Ok(format!(
            "ssh-ed25519 {} memrig\n",
            base64::encode_block(&public(&self.client)?)
        ))
    }

    /// Our private key, unencrypted, in OpenSSH's own format, which both libssh2 and `ssh -i` read.
    ///
    /// # Errors
    /// OpenSSL does not give the key away.
    pub fn client_private(&self) -> Result<String, KeyError> {
        let public = public(&self.client)?;
        let mut private = Vec::new();
        // Two equal numbers tell a reader of an encrypted key that it decrypted well; here they only have to be equal.
        private.extend([0; 8]);
        string(&mut private, KIND);
        string(&mut private, &self.client.raw_public_key()?);
        string(&mut private, &both_halves(&self.client)?);
        string(&mut private, b"memrig");
        for pad in (1..).take(private.len().next_multiple_of(8) - private.len()) {
            private.push(pad);
        }
        let mut out = b"openssh-key-v1\0".to_vec();
        string(&mut out, b"none");
        string(&mut out, b"none");
        string(&mut out, b"");
        out.extend(1u32.to_be_bytes());
        string(&mut out, &public);
        string(&mut out, &private);
        let mut pem = "-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned();
        for line in base64::encode_block(&out).as_bytes().chunks(70) {
            pem.extend(line.iter().map(|b| char::from(*b)));
            pem.push('\n');
        }
        pem.push_str("-----END OPENSSH PRIVATE KEY-----\n");
        Ok(pem)
    }
}

fn public(key: &PKey<Private>) -> Result<Vec<u8>, ErrorStack> {
    let mut out = Vec::new();
    string(&mut out, KIND);
    string(&mut out, &key.raw_public_key()?);
    Ok(out)
}

/// Private half, then public half: how both SSH implementations keep the private key.
fn both_halves(key: &PKey<Private>) -> Result<Vec<u8>, ErrorStack> {
    Ok([key.raw_private_key()?, key.raw_public_key()?].concat())
}

/// A string of the SSH wire format: its length in four bytes, then itself.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    // All strings here are shorter than a key file.
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Bytes in base64, in one line.
pub fn base64(bytes: &[u8]) -> String {
    openssl::base64::encode_block(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_have_the_sizes_that_their_formats_say() {
        let keys = SshKeys::generate().unwrap();
        let host = keys.dropbear_host_key().unwrap();
        assert_eq!(host.len(), 4 + 11 + 4 + 64);
        // The public half ends the private key and the public key alike.
        assert_eq!(host[host.len() - 32..], keys.host_public().unwrap()[19..]);
        let line = keys.authorized_key().unwrap();
        assert_eq!(line.len(), "ssh-ed25519 ".len() + 68 + " memrig\n".len());
        assert_ne!(line, SshKeys::generate().unwrap().authorized_key().unwrap());
    }

    #[test]
    fn the_private_key_holds_the_public_one_and_whole_blocks() {
        let keys = SshKeys::generate().unwrap();
        let pem = keys.client_private().unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = base64::decode_block(&body).unwrap();
        assert!(bytes.starts_with(b"openssh-key-v1\0\0\0\0\x04none"));
        let public = public(&keys.client).unwrap();
        assert!(bytes.windows(public.len()).any(|w| w == public));
        assert!(pem.lines().all(|line| line.len() <= 70));
    }
}
