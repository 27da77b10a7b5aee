function Test-Organisation {
    # Whether this is the organisation that is meant, and whether what it accepts is what Sluice takes.
    param($Step)
    $accepted = @(foreach ($one in @(Get-AcceptedDomain -ErrorAction Stop)) { "$($one.DomainName)".ToLowerInvariant() })
    $domains = $Step.Properties[0].Value
    $strange = @($domains | Where-Object { $accepted -notcontains $_ })
    if ($strange.Count -eq $domains.Count -or ($strange.Count -gt 0 -and -not $Remove)) {
        throw "this organisation does not accept $($strange -join ', ')"
    }
    if (-not $Remove -and $Step.Properties[1].Value) {
        $open = @($accepted | Where-Object { $domains -notcontains $_ -and (Test-Below $_ $domains) })
        if ($open.Count -gt 0) {
            throw "its mail would be redirected, but Sluice would refuse it: $($open -join ', '). Add it to Sluice, " +
                "prove it, and have this script made anew."
        }
    }
    $Known['Settled'] = Test-Settled
    if ("$((Get-OrganizationConfig -ErrorAction Stop).RejectDirectSend)" -eq 'True') {
        return New-Told 'unchanged' 'RejectDirectSend is on: look whether mail in the name of own domains comes back'
    }
    return New-Told 'unchanged' ''
}

function Test-Below {
    # Whether a domain is a sub-domain of one of these.
    param([string] $Name, $Domains)
    foreach ($domain in $Domains) {
        if ($Name.EndsWith(".$domain")) { return $true }
    }
    return $false
}

function Get-MinutesSince {
    # How long ago a rule or a connector was changed; very long when that is not known.
    param($Object)
    if ($null -eq $Object.WhenChanged) { return 1000000 }
    return ((Get-Date).ToUniversalTime() - ([datetime] $Object.WhenChanged).ToUniversalTime()).TotalMinutes
}

function Test-Accepted {
    # Whether all rules that redirect accept all loop values, and have for so long that all of Exchange knows.
    foreach ($other in $Steps) {
        if (-not $other.Redirects -or $other.Absent) { continue }
        $rule = Select-Named @(Get-All $other) $other.Name
        if ($null -eq $rule) { continue }
        if (@(Get-Differing $rule $other.Properties) -contains 'ExceptIfHeaderContainsWords') { return $false }
        if ((Get-MinutesSince $rule) -lt $MinutesToWait) { return $false }
    }
    return $true
}

function Switch-Secret {
    # Has a rule set the first loop value, when all of Exchange accepts it.
    param($Step)
    $rule = Select-Named @(Get-All $Step) $Step.Name
    if ($null -eq $rule) { throw 'is not there: run this script without -Rotate first.' }
    $told = Update-Object $Step
    if (-not $Step.Redirects -or "$($rule.SetHeaderValue)" -ceq $Secrets[0]) { return $told }
    $fresh = $told.Result -ne 'unchanged' -or $State.Values -contains 'done' -or -not (Test-Accepted)
    if ($fresh -and -not $NoWait) {
        return New-Told 'waiting' "the new value is accepted; run -Rotate again in $MinutesToWait minutes"
    }
    $with = Get-Wanted $Step $null
    $with['Identity'] = $Step.Name
    return Get-Done (Invoke-Change $Step.Name 'Set-TransportRule' $with) 'sets the new value'
}

function Stop-Redirection {
    # Disables the redirect rule, and removes it when that has taken effect.
    param($Step)
    $rule = Select-Named @(Get-All $Step) $Step.Name
    if ($null -eq $rule -or $NoWait -or -not (Test-Ours $Step $rule)) { return Clear-Object $Step $rule }
    if ("$($rule.State)" -eq 'Enabled') {
        $with = @{ Identity = $Step.Name; Confirm = $false }
        if (-not (Invoke-Change $Step.Name 'Disable-TransportRule' $with)) { return New-Told 'would' 'disabled' }
        return New-Told 'waiting' "disabled; run -Remove again in $MinutesToWait minutes, when mail comes directly"
    }
    if ((Get-MinutesSince $rule) -lt $MinutesToWait) {
        return New-Told 'waiting' "disabled less than $MinutesToWait minutes ago; run -Remove again later"
    }
    return Clear-Object $Step $rule
}

function Invoke-Step {
    # Does one step.
    param($Step)
    switch ($Step.Kind) {
        'organisation' { return Test-Organisation $Step }
        'spoof' { return Update-Spoof $Step }
        'addresses' { return Update-Addresses $Step }
        'sealers' { return Update-Sealers $Step }
    }
    if ($Remove) {
        if (@('settings', 'validation') -contains $Step.Kind) { return New-Told 'unchanged' 'stays as it is' }
        if ($Step.Redirects) { return Stop-Redirection $Step }
        return Clear-Object $Step (Select-Named @(Get-All $Step) $Step.Name)
    }
    if ($Rotate) { return Switch-Secret $Step }
    switch ($Step.Kind) {
        'settings' { return Update-Settings $Step }
        'validation' { return Update-Validation $Step }
        default { return Update-Object $Step }
    }
}

function Get-Blocked {
    # What a step has to wait for: on removal, what needs it; else, what it needs. Nothing when it can be done.
    param($Step)
    foreach ($other in $Steps) {
        $result = $State[$other.Id]
        if (@('failed', 'skipped', 'waiting') -notcontains $result) { continue }
        $tied = $Step.Needs -contains $other.Id -and -not ($Rotate -and $other.Redirects)
        if ($Remove) {
            $needed = $other.Needs -contains $Step.Id -or $other.Redirects
            $tied = $other.Kind -eq 'organisation' -or ($needed -and -not $Step.Redirects)
        }
        if (-not $tied) { continue }
        if ($result -eq 'waiting') { return New-Told 'waiting' "for: $($other.Title)" }
        return New-Told 'skipped' "because of: $($other.Title)"
    }
}

function Get-Order {
    # The steps to do, in order: backwards on removal, and only those with loop values on rotation.
    if ($Remove) {
        $Steps | Where-Object { $_.Kind -eq 'organisation' }
        for ($index = $Steps.Count - 1; $index -gt 0; $index--) { $Steps[$index] }
        return
    }
    $Steps | Where-Object { -not $Rotate -or $_.Rotates -or $_.Kind -eq 'organisation' }
}
