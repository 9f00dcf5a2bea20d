"""What every layer shares: errors, time, money, ids, settings. It imports nothing of ours."""
