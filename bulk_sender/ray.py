"""Send a run with workers on a Ray cluster: extras ``ray`` and ``postgres``.

import bulk_sender.ray as bsr

summary = bsr.send("recipients/*.parquet", config="job.toml", run_id="winter", workers=8)
"""

from bulk_sender.cluster.ray import resume, resume_async, send, send_async

__all__ = ["resume", "resume_async", "send", "send_async"]
