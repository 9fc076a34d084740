//! OpenSSL provider.
