"""Send a DataFrame with workers on a Spark cluster: extras ``spark`` and ``postgres``.

import bulk_sender.spark as bss

summary = bss.send(df, config="job.toml", run_id="winter", workers=8, store="/lake/outbox")
"""

from bulk_sender.cluster.spark import resume, resume_async, send, send_async

__all__ = ["resume", "resume_async", "send", "send_async"]
