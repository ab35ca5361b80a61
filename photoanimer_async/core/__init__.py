"""The rules, as pure code: no asyncio, no aiohttp, no clock, no randomness, no files."""
