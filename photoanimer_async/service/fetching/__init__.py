"""Download the photo and the voice that a submit names, without becoming an open proxy.

A submit holds URLs that anybody may have written. Fetching them blindly would let the sender
make this machine send requests to its own network (server-side request forgery, SSRF): to
routers, databases, a cloud's metadata service. Checking the URL's host is not enough, because
its owner decides what the name resolves to, and may answer differently a second later.

So the check is made where a socket is created, on the numeric address that is about to be
connected to. It covers every address of a name and every redirect:

* `addresses` decides which addresses are allowed: global ones, and networks of the settings. It
  is pure, without network access.
* `guarded_session` opens an aiohttp session whose connector enforces these rules.
* `fetcher` downloads one file through such a session, within limits for size, time and redirects.
* `received_file` is such a file: in memory if it is small, otherwise on disk as it arrives.

`notifying` posts through a guarded session too. To allow another network, set
`ServiceSettings.allow_networks` (`photoanimer serve --allow-network`).
"""
