//! Bare HTTP: prepared bodies, posted one after the other over one connection of ureq.

use crate::Result;

/// Posts each body and reads each answer.
pub fn post_all(url: &str, bodies: &[Vec<u8>]) -> Result<()> {
    let agent = ureq::Agent::new_with_defaults();
    for body in bodies {
        let request = agent
            .post(url)
            .header("Content-Type", "application/json")
            .header("Authorization", "Bearer sk-bench")
            .header("OpenAI-Beta", "traces=v1");
        request.send(&body[..])?.body_mut().read_to_vec()?;
    }
    Ok(())
}
