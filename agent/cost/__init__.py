"""From energy and time to money, under the user's tariff; pure."""
