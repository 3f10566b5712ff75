//! Hashing of secrets and passwords with bcrypt, on dedicated threads.

mod cost;
mod passwords;
mod secrets;
#[cfg(test)]
mod tests;
mod threads;

pub use passwords::BcryptPasswordHasher;
pub use secrets::BcryptSecretHasher;
pub use threads::BcryptThreads;
